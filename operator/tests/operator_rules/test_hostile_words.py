"""Thousands of bad hellos and bad states at a real broker: counted, forgotten, and of no effect.

Messenger, work queue and reconciler are the operator's own, the broker is Mosquitto and lets anybody
write anything. What must not happen: an end of the connection, a look that fails, memory that grows.
"""

import asyncio
import gc
import json
import random
import resource
from collections import Counter
from pathlib import Path

import aiomqtt
import pytest
from meter_operator.desired import Key
from meter_operator.workqueue import WorkQueue
from meter_pki.identities import operator_identity
from meter_wire.control import sign_record
from meter_wire.owner_record import parse_owner_record
from meter_wire.portable.keys import derive_key
from meter_wire.portable.owner import encode_owner_hello

from .on_a_broker import NEEDS_MOSQUITTO, Broker, Session, until
from .street import NAMESPACE

pytestmark = [
    NEEDS_MOSQUITTO,
    pytest.mark.timeout(120),
]
HOUSE = Key(NAMESPACE, "house-1")
EPOCHS = 40
BATCH = 200
ROUNDS = 12
MOST_GROWTH_KIB = 2 * 1024


class Working(Session):
    """A session whose looks are reconciled by a worker of the real work queue."""

    def __init__(self, operator, broker):
        super().__init__(operator, broker)
        self.broker = broker
        self.queue = WorkQueue()
        self.messenger._look = self.queue.add
        self.looks, self.failed = 0, Counter()

    def start(self):
        super().start()
        self.worker = asyncio.create_task(self.queue.work(self.look))

    async def look(self, key):
        self.looks += 1
        try:
            again = await self.operator.reconciler.reconcile(key)
        except Exception as error:
            self.failed[repr(error)[:200]] += 1
            raise
        self.operator.sync()
        return again

    async def stop(self):
        self.worker.cancel()
        await asyncio.gather(self.worker, return_exceptions=True)
        await super().stop()

    @property
    def refused(self):
        return sum(self.messenger.refused.values())


class Attack:
    """Whoever may write everything at the broker."""

    def __init__(self, broker, operator):
        self.broker, self.operator = broker, operator
        self.chance = random.Random(11)

    def key(self, label, *epoch):
        return derive_key(self.operator.fleet.meter_key("house-1", 1), label, "house-1", *epoch)

    def hello(self, nonce=b"12345678", known=None, device="house-1", key=None):
        key = key or self.key("hello")
        return encode_owner_hello(key, device, nonce, b"abcdefgh", known)

    def bad_hellos(self, count):
        """Return hellos of which none is the meter's."""
        good = self.hello()
        whole = [
            b"",
            b"\x02" + good[1:],
            self.hello(key=bytes(32)),
            self.hello(device="house-2"),
            self.hello(known=FarAhead()),
            good + b"\0",
            good * 20,
            self.chance.randbytes(100_000),
        ]
        while len(whole) < count:
            place = self.chance.randrange(len(good))
            flipped = bytes([good[place] ^ 1 << self.chance.randrange(8)])
            whole.append(self.chance.choice((
                good[:place],
                good[:place] + flipped + good[place + 1 :],
                self.chance.randbytes(self.chance.randrange(300)),
            )))  # fmt: skip
        return [("mt/house-1/hello", payload) for payload in whole[:count]]

    def bad_states(self, count):
        """Return states that are none, on the topics of many epochs."""
        whole = [
            b"{",
            b'{"\xff":1}',
            b"null",
            b"[]",
            b'"online"',
            b"1e999",
            b"9" * 4096,
            b"[" * 4096,
            b'{"a":' * 800,
            b'{"online":true,"a":"' + b"x" * 4096 + b'"}',
            b" " * 100_000,
        ]
        return [
            (f"mt/house-1/{1 + number % EPOCHS}/state", whole[number % len(whole)])
            for number in range(count)
        ]

    def odd_words(self):
        """Return states that are JSON objects, with what no twin says of a handover."""
        epoch_id = bytes.fromhex(self.operator.status()["epochId"])
        key = self.key("ctl", 1, epoch_id)
        for word in ODD_WORDS:
            documents = [word]
            if isinstance(word, dict):
                signed = sign_record({**word, "epoch": 1}, key)
                documents.append({name: signed[name] for name in signed if name != "epoch"})
            yield from (json.dumps({"online": True, "handover": one}) for one in documents)
        for depth in (5, 300, 700, *range(850, 1000, 5)):
            yield '{"online":true,"handover":{"a":' + "[" * depth + "]" * depth + "}}"
        for name in ("online", "meter", "lastSeen", "version"):
            for value in ("1e999", "NaN", "-1", '"\\ud800"', "{}", "[[]]", "null", '"' + "x" * 900 + '"'):  # fmt: skip
                yield f'{{"online":true,"{name}":{value}}}'

    def strangers(self, first, count):
        """Return what devices without a resource say; the last of each is refused."""
        for number in range(first, first + count):
            device = f"stranger-{number}"
            yield f"mt/{device}/hello", self.hello(device=device)
            yield f"mt/{device}/{number + 1}/state", b'{"online":true,"meter":"connected"}'
            yield f"mt/{device}/owner", self.chance.randbytes(80)

    async def send(self, messages, *, retain=False):
        async with aiomqtt.Client("127.0.0.1", self.broker.open_port) as client:
            client.pending_calls_threshold = 1000
            await asyncio.gather(
                *(
                    client.publish(topic, payload, qos=1, retain=retain)
                    for topic, payload in messages
                )
            )


class FarAhead:
    """What no restored cluster explains."""

    active = highest = counter = 1 << 30


ODD_WORDS = [
    {},
    {"covers": [{}]},
    {"covers": {}},
    {"covers": {"a": 1}},
    {"covers": [[float("inf"), "", "", True]]},
    {"covers": [[float("nan"), "", "", True]]},
    {"covers": [[1 << 70, "", "", True]]},
    {"covers": [[-1, "", "", True]]},
    {"covers": [["1", "", "", True]]},
    {"covers": [[1]]},
    {"covers": [1, None]},
    {"covers": "four"},
    {"covers": 5},
    {"covers": None},
    {"covers": [[1, "x" * 900, "", True]]},
    {"store": 5, "root": [], "frozen": {}, "refuses": 1.5},
    {"refuses": "x" * 3000},
    {"root": "\ud800"},
    {"mac": 5},
    {"mac": "\ud800"},
    {"mac": None, "epoch": {}},
    {"retired": float("inf"), "joined": "yes"},
    [],
    [[]],
    "word",
    "\ud800",
    -1,
    1 << 2000,
    float("inf"),
    True,
]


def resident_kib():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


@pytest.fixture
async def hostile(operator, tmp_path):
    """A broker and a working operator with one meter."""
    broker = Broker(tmp_path)
    broker.identify(operator_identity())
    await broker.start()
    session = Working(operator, broker)
    session.start()
    await session.connected()
    operator.add_meter()
    await operator.settle()
    await broker.until_retained("mt/house-1/#", ("mt/house-1/owner", "mt/house-1/1/ctl"))
    yield Attack(broker, operator), session
    await session.stop()
    broker.kill()


async def still_works(attack, session):
    """The meter is answered with its nonce, a lost twin is followed by the next epoch."""
    operator, broker = session.operator, session.broker
    nonce = attack.chance.randbytes(8)

    async def until_record(check):
        for _ in range(60):
            found = await broker.retained("mt/house-1/owner")  # a loaded machine may be too slow
            for payload in found.values():
                if check(parse_owner_record(payload, attack.key("owner"))):
                    return
        raise AssertionError("no such owner record")

    await attack.send([("mt/house-1/hello", attack.hello(nonce))])
    await until_record(lambda record: record.nonce == nonce)
    epoch = operator.status()["epoch"]
    operator.delete_pod(f"house-1-e{epoch}")
    session.queue.add(HOUSE)
    await until_record(lambda record: record.active == epoch + 1)
    assert operator.status()["epoch"] == epoch + 1
    assert not session.task.done()
    assert session.failed == {}


async def test_bad_hellos_and_states_are_counted_each_and_memory_does_not_grow(hostile):
    attack, session = hostile
    sent, before = 0, 0
    for number in range(ROUNDS):
        for batch in (attack.bad_hellos(BATCH), attack.bad_states(BATCH)):
            await attack.send(batch, retain=batch[0][0].endswith("state"))
            sent += BATCH
            await until(lambda: session.refused >= sent, 20)  # noqa: B023 - at once
        if number == ROUNDS // 3:
            before = resident_kib()
    growth = resident_kib() - before
    assert session.refused == sent
    assert growth < MOST_GROWTH_KIB, f"{growth} KiB more after {sent} messages"
    assert set(session.messenger.refused) == {"ValueError", "RemoteProtocolError", "JSONDecodeError",
        "UnicodeDecodeError", "FarAheadError"}  # fmt: skip
    assert len(session.operator.cache.states.get("house-1", {})) == 0
    await still_works(attack, session)


async def test_thousands_of_devices_without_a_resource_leave_nothing_in_memory(hostile):
    attack, session = hostile
    # The keys that are kept are bounded: they are as many as there can be from the beginning.
    for number in range(session.operator.fleet._derive.cache_parameters()["maxsize"]):
        session.operator.fleet.meter_key(f"old-{number}", 1)
    sent, before = 0, 0
    for number in range(ROUNDS):
        await attack.send(attack.strangers(sent, BATCH), retain=True)
        sent += BATCH
        await until(lambda: session.refused >= sent, 20)  # noqa: B023 - at once
        if number == ROUNDS // 3:
            before = resident_kib()
    await until(lambda: not session.messenger._outbox.pending)
    growth = resident_kib() - before
    assert session.messenger.refused == {"RemoteProtocolError": sent}
    assert growth < MOST_GROWTH_KIB, f"{growth} KiB more after {sent} devices"
    cache = session.operator.cache
    assert set(cache.states) | set(cache.witnesses) | set(cache.nonces) <= {"house-1"}
    assert await session.broker.retained("mt/+/+/state") == {}
    await still_works(attack, session)


async def test_bad_retained_states_are_met_at_each_connection_and_harm_none(hostile):
    attack, session = hostile
    await attack.send(attack.bad_states(EPOCHS), retain=True)
    await until(lambda: session.refused >= EPOCHS)
    for times in (2, 3):
        session.messenger.connected.clear()
        session.task.cancel()
        await asyncio.gather(session.task, return_exceptions=True)
        session.task = asyncio.create_task(session.messenger.run())
        await session.connected()
        await until(lambda: session.refused >= times * EPOCHS)  # noqa: B023 - at once
    assert session.refused == 3 * EPOCHS
    await still_works(attack, session)


async def test_odd_words_of_a_twin_are_not_believed_and_no_look_fails(hostile):
    attack, session = hostile
    for payload in attack.odd_words():
        looks, refused = session.looks, session.refused
        await attack.send([("mt/house-1/1/state", payload)], retain=True)
        await until(
            lambda: (
                session.looks > looks  # noqa: B023 - at once
                or session.refused > refused  # noqa: B023
                or session.task.done()
            )
        )
        assert session.failed == {}, payload[:200]
        assert not session.task.done(), f"{payload[:200]}: {session.task.exception()!r}"
    assert session.operator.status()["epoch"] == 1
    await still_works(attack, session)
