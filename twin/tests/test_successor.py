"""A twin takes over from an older one: two real processes, mutual TLS, the real store."""

import asyncio
import contextlib
import http.client
import json
import sqlite3
from types import SimpleNamespace

import pytest
from loopback import free_ports
from meter_twin.giving import Giver
from meter_twin.http_codec import unquote
from meter_twin.http_server import Request
from meter_twin.inheritance import Inheritance
from meter_twin.store import Store
from meter_twin.store_conflicts import parse_conflicts
from meter_twin.store_records import save_record_page
from meter_twin.store_retention import delete_until
from meter_wire.control import ControlRecord, Peer, encode_control
from meter_wire.names import build_twin_uri
from meter_wire.portable.keys import derive_key
from meter_wire.word import open_word

pytestmark = pytest.mark.timeout(300)
READINGS, PRUNED = 1300, 700
SECOND_ID = bytes(range(16, 32))
_TIMEOUT_S = 150


class Pair:
    """Two twins of one meter; the first has what the meter sent."""

    def __init__(self, world, tools):
        self.world, self.tools = world, tools
        self.ids = {1: tools.EPOCH_ID, 2: SECOND_ID}
        self.states = {}
        self.ports = free_ports(3)
        world.issue_twin(2)

    def key(self, epoch):
        return derive_key(self.tools.K_METER, "ctl", self.tools.DEVICE, epoch, self.ids[epoch])

    def start(self, **changes):
        """Start the second twin with a store of its own."""
        world = self.world
        configuration = world.configuration(epoch=2, epoch_id=SECOND_ID, **changes)
        configuration["ports"] = dict(zip(("plain", "local", "peer"), self.ports, strict=True))
        configuration["paths"]["store"] = str(world.folder / "second" / "twin.db")
        return world.start_twin(configuration)

    @contextlib.asynccontextmanager
    async def operator(self):
        """A session of the operator; it hears the twins' states."""

        async def note(message):
            if message.payload:
                self.states[int(message.topic.split("/")[2])] = json.loads(message.payload)

        filters = ("mt/+/+/state",)
        async with self.world.client("operator", "Operator.metertwin", note, filters) as shell:
            await shell.connected.wait()
            self.shell = shell
            yield

    async def tell(self, epoch, state, counter, **peers):
        record = ControlRecord(epoch, self.ids[epoch], state, 1, counter, **peers)
        payload = encode_control(record, self.key(epoch))
        await self.shell.publish(f"mt/{self.tools.DEVICE}/{epoch}/ctl", payload, retain=True)

    def peer(self, epoch):
        port = {1: self.world.peer, 2: self.ports[2]}[epoch]
        return Peer(epoch, self.ids[epoch], f"127.0.0.1:{port}")

    def word(self, epoch):
        said = self.states.get(epoch, {}).get("handover")
        return open_word(said, epoch, self.key(epoch)) if said else None

    def has_taken(self, **wanted):
        """Whether the second twin has said that it holds all of the first."""
        first, second = self.word(1), self.word(2)
        if first is None or second is None or 1 not in second.covers:
            return False
        cover = second.covers[1]
        return cover.root == first.root and all(getattr(cover, k) == v for k, v in wanted.items())

    def rows(self, name, query="SELECT i.id, seq, raw FROM entry JOIN incarnation i"
             " ON number = incarnation ORDER BY seq"):  # fmt: skip
        path = self.world.folder / name / "twin.db"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
async def pair(world, tools):
    """The first twin holds READINGS readings of a meter that is away since."""
    world.start_broker()
    first = world.start_twin()
    await asyncio.to_thread(first.wait_serving)
    await world.operate("active")
    meter = tools.Meter(world)
    meter.power_on()
    for number in range(READINGS):
        meter.append(tools.reading(1_800_000_000 + 60 * number, number))
    await tools.eventually(lambda: meter.ring.stored == READINGS, "everything is stored")
    made = Pair(world, tools)
    made.meter, made.first = meter, first
    yield made
    await meter.power_off()


async def test_a_successor_gets_every_entry_and_says_so(pair, tools):
    await pair.meter.power_off()
    second = pair.start()
    async with pair.operator():
        await pair.tell(1, "retired", 2, takers=(pair.peer(2),))
        await pair.tell(2, "active", 2, donors=(pair.peer(1),))
        await tools.eventually(lambda: pair.has_taken(final=True), "all is taken", _TIMEOUT_S)
    assert pair.rows("second") == pair.rows("store")
    assert len(pair.rows("second")) == READINGS
    pair.meter.power_on()
    records = "SELECT * FROM record ORDER BY 1, 2, 3"

    def same():
        return pair.rows("second", records) == pair.rows("store", records)

    await tools.eventually(same, "the same records")
    await tools.eventually(lambda: "application state taken over" in second.log, "its word")


async def take_over_from(pair, tools):
    """Start the first twin again on its changed store, and let the second have all of it."""
    first = pair.world.start_twin()
    await asyncio.to_thread(first.wait_serving)
    pair.start()
    async with pair.operator():
        await pair.tell(1, "retired", 2, takers=(pair.peer(2),))
        await pair.tell(2, "active", 2, donors=(pair.peer(1),))
        await tools.eventually(lambda: pair.has_taken(final=True), "all is taken", _TIMEOUT_S)


async def test_the_quarantine_goes_with_the_entries(pair, tools):
    await pair.meter.power_off()
    pair.first.terminate()
    foreign = [(7, b"other bytes"), (9, b"and others")]
    with contextlib.closing(sqlite3.connect(pair.world.folder / "store" / "twin.db")) as connection:
        add = "INSERT INTO conflict SELECT number, ?, ? FROM incarnation"
        connection.executemany(add, foreign)
        connection.execute("INSERT INTO property VALUES ('conflicts', 2)")
        connection.commit()
    await take_over_from(pair, tools)
    assert pair.rows("second", "SELECT seq, raw FROM conflict ORDER BY 1") == foreign
    counted = "SELECT value FROM property WHERE name = 'conflicts'"
    assert pair.rows("second", counted) == [(2,)]


async def test_after_a_donor_that_has_pruned_the_meter_is_not_asked_again(pair, tools):
    await pair.meter.power_off()
    pair.first.terminate()
    store = Store(str(pair.world.folder / "store" / "twin.db"))
    with store.transaction() as connection:
        delete_until(connection, store.find_number(pair.meter.ring.incarnation), PRUNED)
    store.close()
    await take_over_from(pair, tools)
    marks = "SELECT id, stored, chain FROM incarnation"
    assert pair.rows("second", marks) == pair.rows("store", marks)
    assert len(pair.rows("second")) == READINGS - PRUNED


@pytest.mark.parametrize("rows", [
    None, {}, "rows", [1], [["00" * 8, 1]], [["00" * 7, 1, ""]], [["00" * 8, "1", ""]],
    [["zz" * 8, 1, ""]], [["00" * 8, 1, "0"]], [["00" * 8, -1, ""]], [["00" * 8, 2**63, ""]],
])  # fmt: skip
def test_a_quarantine_that_is_none_is_refused(rows):
    with pytest.raises(ValueError, match=r"conflicts|fromhex"):
        parse_conflicts(rows)


async def test_a_tail_goes_on_until_the_donor_is_frozen(pair, tools):
    attempt = SECOND_ID.hex()
    pair.start()
    async with pair.operator():
        await pair.tell(1, "active", 2, attempt=attempt, takers=(pair.peer(2),))
        await pair.tell(2, "candidate", 2, attempt=attempt, donors=(pair.peer(1),))
        await tools.eventually(pair.has_taken, "the snapshot", _TIMEOUT_S)
        for number in range(5):
            pair.meter.append(tools.reading(1_900_000_000 + number, number))
        await tools.eventually(lambda: len(pair.rows("second")) == READINGS + 5, "the tail")
        assert not pair.has_taken(frozen=attempt)
        await pair.tell(1, "frozen", 3, attempt=attempt, takers=(pair.peer(2),))
        await tools.eventually(lambda: pair.word(1).frozen == attempt, "the donor is frozen")
        pair.meter.append(tools.reading(1_900_000_010, 10))
        # The words may agree on the five before; all six are there when the last has passed.
        await tools.eventually(
            lambda: len(pair.rows("store")) == READINGS + 6, "a frozen twin goes on storing"
        )
        await tools.eventually(lambda: len(pair.rows("second")) == READINGS + 6, "all of it")
        await tools.eventually(lambda: pair.has_taken(frozen=attempt), "the proof")
    assert pair.rows("second") == pair.rows("store")


async def test_a_successor_killed_in_the_middle_goes_on_where_it_was(pair, tools):
    second = pair.start()
    async with pair.operator():
        await pair.tell(1, "retired", 2, takers=(pair.peer(2),))
        await pair.tell(2, "active", 2, donors=(pair.peer(1),))
        await tools.eventually((pair.world.folder / "second" / "twin.db").exists, "file")
        await tools.eventually(lambda: "broker session up" in second.log, "a session")
        second.kill()
        pair.start()
        await tools.eventually(lambda: pair.has_taken(final=True), "all is taken", _TIMEOUT_S)
    assert pair.rows("second") == pair.rows("store")


def ask(pair, name, path, port):
    """Return the status of a GET under a certificate."""
    context = pair.world.context(name)
    context.check_hostname = False
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status


async def test_nobody_but_a_named_taker_gets_entries(pair, tools):
    world = pair.world
    world.issue_twin(3)
    world.issue("other", "house-2/2", "URI:urn:metertwin:twin:house-2:2")
    async with pair.operator():
        status = await asyncio.to_thread(ask, pair, "tls-2", "/v1/handover/coverage", world.peer)
        assert status == 403, "before the operator has named anybody"
        await pair.tell(1, "active", 2, takers=(pair.peer(2),))
        await tools.eventually(
            lambda: ask(pair, "tls-2", "/v1/handover/coverage", world.peer) == 200, "the taker"
        )
        for name in ("tls", "tls-3", "other", "operator", "meter"):
            for path in ("coverage", "entries?first=1", "versions", "state", "records"):
                status = await asyncio.to_thread(
                    ask, pair, name, f"/v1/handover/{path}", world.peer
                )
                assert status == 403, (name, path)
        await pair.tell(1, "active", 3)
        await tools.eventually(
            lambda: ask(pair, "tls-2", "/v1/handover/coverage", world.peer) == 403, "no taker more"
        )


async def test_a_donor_with_another_name_is_refused(pair, tools):
    second = pair.start()
    async with pair.operator():
        await pair.tell(1, "retired", 2, takers=(pair.peer(2),))
        wrong = Peer(7, bytes(16), pair.peer(1).address)
        await pair.tell(2, "active", 2, donors=(wrong,))
        await tools.eventually(lambda: "does not answer" in second.log, "the refusal")
        await asyncio.sleep(1)
    assert not pair.rows("second")


class Versions:
    """A host and a client that know some versions of one state."""

    def __init__(self, ours, theirs):
        self.state_versions, self.beginners, self.failed = {"quality": ours}, ["quality"], []
        self.theirs = theirs

    async def get_json(self, _donor, path):
        assert path == "/v1/handover/versions"
        return self.theirs


@pytest.mark.parametrize(
    ("ours", "theirs", "refuses"),
    [
        ([2, 1], {"quality": [1]}, False),
        ([2], {"quality": [1]}, True),
        ([2], {"another": [1]}, False),
        ([1], {"quality": [2, 1]}, False),
    ],
)
async def test_a_state_that_cannot_be_read_is_a_reason_to_refuse(ours, theirs, refuses):
    known = Versions(ours, theirs)
    inheritance = Inheritance(known, None, known)
    assert not inheritance.objection
    await inheritance.check(None)
    said = inheritance.objection
    assert bool(said) == refuses
    assert ("quality" in said) == refuses


class Direct:
    """A client that asks a donor's `Giver` without a network."""

    def __init__(self, giver, peer):
        self.giver, self.peer, self.asked = giver, peer, []

    async def get_json(self, _donor, path):
        self.asked.append(path)
        target, _, query = path.partition("?")
        pairs = dict(pair.split("=") for pair in query.split("&"))
        query = {name: unquote(value) for name, value in pairs.items()}
        return json.loads(self.giver.answer(Request("GET", target, query, b"", self.peer)).body)


async def test_records_of_months_come_page_by_page(tmp_path, tools):
    donor, taker = Store(str(tmp_path / "donor.db")), Store(str(tmp_path / "taker.db"))
    rows = [
        [series, 1_800_000_000 + 900 * number, json.dumps({"wh": number})]
        for series in ("profile", "a week & more")
        for number in range(600)
    ]
    save_record_page(donor, "metering-data", rows)
    succession = SimpleNamespace(takers=(2,))
    giver = Giver(tools.DEVICE, donor, None, succession, None, lambda: None)
    client = Direct(giver, (build_twin_uri(tools.DEVICE, 2),))
    host = SimpleNamespace(beginners=[])
    await Inheritance(host, taker, client)._take_records(None, "metering-data")
    everything = "SELECT * FROM record ORDER BY 1, 2, 3"
    found = taker.connection.execute(everything).fetchall()
    assert found == donor.connection.execute(everything).fetchall()
    assert (len(found), len(client.asked)) == (1200, 3)
