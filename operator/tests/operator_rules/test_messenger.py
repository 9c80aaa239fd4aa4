"""What the broker says: authentic hellos and retained records count, anything else is counted."""

import asyncio
import json
import logging
from pathlib import Path

import pytest
import yaml
from meter_operator.desired import Key
from meter_operator.hellos import ANSWER_S, TAKEOVER_S, FarAheadError
from meter_operator.messenger import Messenger
from meter_operator.observed import Witness
from meter_operator.owner import Message
from meter_wire.owner_record import OwnerRecord, encode_owner_record, parse_owner_record
from meter_wire.portable.keys import derive_key
from meter_wire.portable.owner import encode_owner_hello
from meter_wire.portable.tlv import RemoteProtocolError

NONCE = b"12345678"
INCARNATION = b"abcdefgh"

DECIDED = {"house-1": Witness(1, 1)}
"""What the operator itself decided, and nobody else."""


class Current:
    """What the meter has in flash."""

    def __init__(self, active, highest, counter):
        self.active, self.highest, self.counter = active, highest, counter


@pytest.fixture
async def pair(operator):
    looked = []
    messenger = Messenger(
        operator.settings,
        operator.cache,
        operator.fleet,
        7,
        operator.reconciler.messages_of,
        looked.append,
        lambda: asyncio.sleep(0),
        clock=lambda: operator.now_s,
    )
    operator.now_s = 1000.0
    messenger.synced.set()
    operator.add_meter()
    await operator.settle()
    operator.publisher.retained.clear()
    return operator, messenger, looked


def key(operator, label, device="house-1"):
    return derive_key(operator.fleet.meter_key(device, 1), label, device)


def hello(operator, current=None, device="house-1", nonce=NONCE):
    return encode_owner_hello(key(operator, "hello", device), device, nonce, INCARNATION, current)


def record(operator, active=1, counter=1, device="house-1", version=1):
    content = OwnerRecord(device, active, bytes(16), 0, b"", active, "broker:8883", counter)
    owner_key = derive_key(operator.fleet.meter_key(device, version), "owner", device)
    return encode_owner_record(content, owner_key)


async def test_a_new_meters_hello_is_answered_with_its_nonce(pair):
    operator, messenger, _ = pair
    await messenger._hear("mt/house-1/hello", hello(operator))
    answer = parse_owner_record(
        messenger._outbox.pending["mt/house-1/owner"].payload, key(operator, "owner")
    )
    assert (answer.nonce, answer.active) == (NONCE, 1)


async def test_a_hello_that_knows_more_leads_to_a_takeover_above_it(pair):
    operator, messenger, looked = pair
    await messenger._hear("mt/house-1/hello", hello(operator, Current(4, 5, 9)))
    assert looked
    assert not messenger._outbox.pending
    await operator.settle()
    assert (operator.status()["epoch"], operator.status()["ownerCounter"]) == (6, 10)
    answer = operator.publisher.retained["mt/house-1/owner"]
    assert parse_owner_record(answer, key(operator, "owner")).nonce == NONCE


async def test_a_hello_with_our_counter_and_other_epochs_leads_to_a_takeover(pair):
    operator, messenger, looked = pair
    await messenger._hear("mt/house-1/hello", hello(operator, Current(1, 1, 1)))
    assert "house-1" not in {key.name for key in looked}
    await asyncio.sleep(0)
    messenger._clock = lambda: 10_000.0
    await messenger._hear("mt/house-1/hello", hello(operator, Current(1, 2, 1), nonce=b"87654321"))
    assert operator.cache.witnesses["house-1"] == Witness(2, 2)
    await operator.settle()
    status = operator.status()
    assert (status["epoch"], status["ownerCounter"]) == (3, 3)


async def test_a_forged_hello_changes_nothing(pair):
    operator, messenger, looked = pair
    forged = bytearray(hello(operator, Current(4, 5, 9)))
    forged[-1] ^= 1
    with pytest.raises(RemoteProtocolError):
        await messenger._hear("mt/house-1/hello", bytes(forged))
    assert not looked
    assert operator.cache.witnesses == DECIDED


async def test_the_hello_of_another_device_changes_nothing(pair):
    operator, messenger, _ = pair
    with pytest.raises(ValueError, match="another device"):
        await messenger._hear("mt/house-1/hello", hello(operator, device="house-2"))


async def test_our_own_record_read_back_is_left_alone(pair):
    operator, messenger, looked = pair
    own = {m.topic: m.payload for m in operator.reconciler.messages_of(_meter(operator))}
    await messenger._hear("mt/house-1/owner", own["mt/house-1/owner"])
    assert not messenger._outbox.pending
    assert not looked


@pytest.mark.parametrize("lost", [b"", None])
async def test_a_lost_or_older_retained_record_is_published_again(pair, lost):
    operator, messenger, _ = pair
    operator.cache.raise_witness("house-1", 1, 2)
    await operator.settle()
    await messenger._hear("mt/house-1/owner", lost if lost == b"" else record(operator, 1, 1))
    found = parse_owner_record(
        messenger._outbox.pending["mt/house-1/owner"].payload, key(operator, "owner")
    )
    assert found.active == operator.status()["epoch"]


async def test_a_newer_authentic_record_is_a_witness_of_a_restored_cluster(pair):
    operator, messenger, _ = pair
    await messenger._hear("mt/house-1/owner", record(operator, 8, 20))
    await operator.settle()
    assert (operator.status()["epoch"], operator.status()["ownerCounter"]) == (9, 21)


async def test_a_forged_record_is_no_witness(pair):
    operator, messenger, _ = pair
    with pytest.raises(RemoteProtocolError):
        await messenger._hear("mt/house-1/owner", record(operator, 8, 20)[:-1] + b"\0")
    assert operator.cache.witnesses == DECIDED


async def test_the_retained_topics_of_an_unknown_device_are_removed(pair):
    operator, messenger, _ = pair
    await messenger._hear("mt/gone/owner", record(operator, 2, 2, "gone"))
    assert {topic for topic, one in messenger._outbox.pending.items() if one.payload == b""} == {
        "mt/gone/owner",
        "mt/gone/1/ctl",
        "mt/gone/1/state",
        "mt/gone/2/ctl",
        "mt/gone/2/state",
    }


async def test_a_newer_record_is_a_witness_though_ours_stands_in_line_to_replace_it(pair):
    operator, messenger, _ = pair
    await messenger.publish(operator.reconciler.messages_of(_meter(operator)))
    await messenger._hear("mt/house-1/owner", record(operator, 8, 20))
    await operator.settle()
    assert (operator.status()["epoch"], operator.status()["ownerCounter"]) == (9, 21)


async def test_the_record_of_a_deleted_device_with_a_later_key_is_removed_too(pair):
    operator, messenger, _ = pair
    await messenger._hear("mt/gone/owner", record(operator, 1, 1, "gone", version=3))
    assert messenger._outbox.pending["mt/gone/owner"].payload == b""


async def test_a_meter_declared_again_begins_above_its_floor(pair):
    operator, messenger, _ = pair
    operator.delete_pod("house-1-e1")
    await operator.settle()
    gone = operator.cache.drop_meter(Key("street", "house-1"))
    await messenger.forget(gone)
    for row in [row for row in operator.cluster.objects if row[0] != "twinprofiles"]:
        del operator.cluster.objects[row]
    operator.sync()
    operator.add_meter()
    await operator.settle()
    assert (operator.status()["epoch"], operator.status()["ownerCounter"]) == (3, 3)


async def test_the_owner_record_is_the_last_to_be_removed(pair):
    operator, messenger, _ = pair
    await messenger.forget(_meter(operator))
    assert list(messenger._outbox.pending)[-1] == "mt/house-1/owner"


async def test_a_deleted_meter_leaves_nothing_on_the_broker(pair):
    operator, messenger, _ = pair
    operator.delete_pod("house-1-e1")
    await operator.settle()
    await messenger.forget(_meter(operator))
    assert set(operator.publisher.retained) <= set(messenger._outbox.pending)
    assert not any(one.payload for one in messenger._outbox.pending.values())


async def test_a_twins_state_is_noted_and_its_meter_looked_at(pair):
    operator, messenger, looked = pair
    state = {"online": True, "epoch": 1, "meter": "silent", "lastSeen": None, "version": "1"}
    await messenger._hear("mt/house-1/1/state", json.dumps(state).encode())
    assert operator.cache.states["house-1"][1].meter == "silent"
    assert looked


DEEP = [b"[" * 100_000, b"[" * 4_000, b'{"meter":' + b"[" * 1_000 + b"]" * 1_000 + b"}"]


@pytest.mark.parametrize(
    "payload",
    [b"[", b"[]", b"\xff", b"1", b'{"version":"' + b"x" * 5000 + b'"}', *DEEP],
    ids=[*"abcde", "deep", "deep and short", "deep inside"],
)
async def test_a_malformed_state_is_refused(pair, payload):
    _, messenger, _ = pair
    with pytest.raises(ValueError):  # noqa: PT011
        await messenger._hear("mt/house-1/1/state", payload)


def _meter(operator):
    return operator.cache.owner_of("house-1")


async def test_a_deleted_meters_twin_leaves_no_retained_state(pair):
    _, messenger, looked = pair
    await messenger._hear("mt/house-9/1/state", b'{"online":false,"epoch":1,"meter":"silent"}')
    assert list(messenger._outbox.pending.values()) == [Message("mt/house-9/1/state", b"")]
    assert "house-9" not in messenger._cache.states
    assert not looked


TOO_FAR = (1 << 16) + 2
HIGHEST = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("highest", "counter"), [(1, HIGHEST), (HIGHEST, 1), (1, TOO_FAR), (TOO_FAR, 1)]
)
async def test_a_hello_far_above_status_is_refused_and_the_meter_stays_as_it_is(
    pair, highest, counter
):
    operator, messenger, looked = pair
    with pytest.raises(FarAheadError):
        await messenger._hear("mt/house-1/hello", hello(operator, Current(1, highest, counter)))
    assert not looked
    assert operator.cache.witnesses == DECIDED
    await operator.settle()
    assert operator.status()["ownerCounter"] == operator.status()["epoch"] == 1


async def test_a_hello_just_within_the_bound_is_a_witness(pair):
    operator, messenger, _ = pair
    await messenger._hear("mt/house-1/hello", hello(operator, Current(1, 1, TOO_FAR - 1)))
    await operator.settle()
    assert operator.status()["ownerCounter"] == TOO_FAR


async def test_a_record_far_above_status_is_refused(pair):
    operator, messenger, looked = pair
    with pytest.raises(FarAheadError):
        await messenger._hear("mt/house-1/owner", record(operator, 1, HIGHEST))
    assert not looked
    assert operator.cache.witnesses == DECIDED


async def test_a_deleted_devices_record_far_above_is_removed_and_no_floor(pair):
    operator, messenger, _ = pair
    with pytest.raises(FarAheadError):
        await messenger._hear("mt/gone/owner", record(operator, 2, HIGHEST, "gone"))
    assert messenger._outbox.pending["mt/gone/owner"].payload == b""
    assert "gone" not in operator.cache.witnesses


async def test_one_poisoned_meter_keeps_nothing_from_the_others(pair, caplog):
    operator, messenger, _ = pair
    operator.add_meter("house-2")
    await operator.settle("house-2")
    operator.meter()["status"]["ownerCounter"] = HIGHEST + 1
    operator.meter()["metadata"]["resourceVersion"] = "1000000"
    operator.sync()
    with caplog.at_level(logging.ERROR):
        await messenger._publish_all()
        await messenger._publish_all()
    assert "mt/house-2/owner" in messenger._outbox.pending
    assert "mt/house-1/owner" not in messenger._outbox.pending
    assert messenger.refused["ValueError"] == 2
    assert [row.meter for row in caplog.records] == ["house-1"]


async def test_a_poisoned_meter_can_be_deleted(pair):
    operator, messenger, _ = pair
    operator.meter()["status"]["highestEpoch"] = HIGHEST + 1
    operator.meter()["metadata"]["resourceVersion"] = "1000000"
    operator.sync()
    await messenger.forget(_meter(operator))
    assert messenger._outbox.pending["mt/house-1/owner"].payload == b""


def test_the_api_server_takes_no_number_that_no_record_can_carry():
    crds = Path(__file__).parents[3] / "crds"
    body = yaml.safe_load((crds / "smartmeters.metertwin.io.yaml").read_text())
    status = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    bounds = {name: status["properties"][name].get("maximum") for name in NUMBERS}
    assert bounds == dict.fromkeys(NUMBERS, HIGHEST)


NUMBERS = ("epoch", "highestEpoch", "ownerCounter")


async def answer(operator, messenger):
    """Return the nonce that was answered since the last question, if any."""
    await messenger._answer_waiting()
    message = messenger._outbox.pending.pop("mt/house-1/owner", None)
    return message and parse_owner_record(message.payload, key(operator, "owner")).nonce


async def test_hellos_are_answered_once_in_five_seconds_and_the_newest_is_never_lost(pair):
    operator, messenger, _ = pair
    for number in range(20):
        await messenger._hear("mt/house-1/hello", hello(operator, nonce=bytes([number] * 8)))
        if number == 0:
            assert await answer(operator, messenger) == bytes(8)
    operator.now_s += ANSWER_S - 0.1
    assert await answer(operator, messenger) is None
    operator.now_s += 0.1
    assert await answer(operator, messenger) == bytes([19] * 8)
    operator.now_s += ANSWER_S
    assert await answer(operator, messenger) is None


async def test_one_meters_hellos_delay_no_other_meter(pair):
    operator, messenger, _ = pair
    operator.add_meter("house-2")
    await operator.settle("house-2")
    await messenger._hear("mt/house-1/hello", hello(operator))
    await messenger._hear("mt/house-2/hello", hello(operator, device="house-2"))
    assert "mt/house-2/owner" in messenger._outbox.pending


async def test_hellos_cause_one_takeover_in_ten_minutes(pair):
    operator, messenger, _ = pair
    epochs = []
    for _ in range(int(TAKEOVER_S) // 10):
        status = operator.status()
        current = Current(1, status["highestEpoch"] + 1, status["ownerCounter"] + 1)
        await messenger._hear("mt/house-1/hello", hello(operator, current))
        await messenger._answer_waiting()
        await operator.settle()
        epochs.append(operator.status()["epoch"])
        operator.now_s += 10
    assert set(epochs) == {3}
    await messenger._answer_waiting()
    await operator.settle()
    assert operator.status()["epoch"] == 5


async def test_a_meter_that_asks_again_during_its_takeover_is_answered_without_a_second(pair):
    operator, messenger, _ = pair
    for nonce in (b"1" * 8, b"2" * 8):
        await messenger._hear("mt/house-1/hello", hello(operator, Current(4, 5, 9), nonce=nonce))
    await operator.settle()
    record = operator.publisher.retained["mt/house-1/owner"]
    assert parse_owner_record(record, key(operator, "owner")).nonce == b"2" * 8
    operator.now_s += ANSWER_S
    assert await answer(operator, messenger) == b"2" * 8
    assert operator.status()["epoch"] == 6


async def test_a_waiting_hello_of_a_deleted_meter_is_forgotten(pair):
    operator, messenger, _ = pair
    for _ in range(2):
        await messenger._hear("mt/house-1/hello", hello(operator))
    messenger._outbox.pending.clear()
    operator.cache.drop_meter(Key("street", "house-1"))
    operator.now_s += ANSWER_S
    await messenger._answer_waiting()
    assert not messenger._outbox.pending
