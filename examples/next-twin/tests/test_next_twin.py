"""Rules of the next version of the twin: what is kept on the way there and back."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

EXAMPLE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(EXAMPLE / "src"))

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from meter_twin.application import (  # noqa: E402
    Answer,
    Context,
    Forget,
    Query,
    ReadingStored,
    Record,
)
from meter_twin.application_host import ApplicationHost  # noqa: E402
from meter_twin.applications.metering_data import MeteringData as Stock  # noqa: E402
from meter_twin.giving import Giver  # noqa: E402
from meter_twin.http_server import Request  # noqa: E402
from meter_twin.inheritance import Inheritance  # noqa: E402
from meter_twin.option_schema import apply_schema  # noqa: E402
from meter_twin.store import Batch, Store  # noqa: E402
from meter_twin.store_coverage import arrange  # noqa: E402
from meter_twin.taking import Donor  # noqa: E402
from meter_twin_next.metering_data import MeteringData as Next  # noqa: E402
from meter_wire.entries import parse_entry  # noqa: E402
from meter_wire.names import build_twin_uri  # noqa: E402
from meter_wire.obis import parse_code  # noqa: E402
from meter_wire.portable.entry import encode_reading, encode_register  # noqa: E402

IMPORT = "1-0:1.8.0*255"
QUARTER_S = 900
JULY_S = 1_782_864_000
"""2026-07-01T00:00:00Z"""
AUGUST_S = JULY_S + 31 * 86400


def build(kind):
    context = Context("house-1", "point", "UTC", 60)
    return kind(apply_schema(kind.option_schema, {}, "options"), context)


def readings(energies, start_s=JULY_S):
    """Return one reading a quarter hour, whose register grows by these."""
    total, found = 1000, []
    for number, energy in enumerate([0, *energies]):
        total += energy
        registers = [encode_register(parse_code(IMPORT), total)]
        raw = encode_reading(0, start_s + QUARTER_S * number, 0, 1, registers)
        found.append(ReadingStored(b"A" * 8, number + 1, parse_entry(raw)))
    return found


def feed(application, events):
    return [effect for event in events for effect in application.handle(event, 0)]


def replace(application, kind):
    """Return the next twin's application: with the state at the highest version both know."""
    successor = build(kind)
    version = max({*application.state_versions} & {*successor.state_versions})
    successor.import_state(version, application.export_state(version))
    return successor


def of_stock(effects):
    return [one for one in effects if one.series != "demand"]


def demands(effects):
    return [one for one in effects if isinstance(one, Record) and one.series == "demand"]


def ask(application, now_s):
    (answer,) = application.handle(Query("demand", {}), now_s)
    assert isinstance(answer, Answer)
    return answer.document


def test_a_month_has_its_highest_quarter_hour():
    application = build(Next)
    found = demands(feed(application, readings([10, 30, 20, 30, 40])))
    assert {one.time_s for one in found} == {JULY_S}, "one record, replaced"
    assert [one.body["energy"] for one in found] == [10, 30, 40]
    assert ask(application, JULY_S + 9000) == {
        "since": "2026-07-01T00:00:00Z",
        "end": "2026-07-01T01:15:00Z",
        "energy": 40,
        "register": IMPORT,
    }


def test_a_month_begins_anew_and_the_quarter_before_midnight_is_of_the_old_one():
    events = readings([50, 7, 9], AUGUST_S - QUARTER_S)
    found = demands(feed(build(Next), events))
    assert [(one.time_s, one.body["energy"]) for one in found] == [
        (AUGUST_S - QUARTER_S, 50),
        (AUGUST_S, 7),
        (AUGUST_S, 9),
    ]


def test_a_gap_has_no_demand():
    events = readings([10, 500, 500, 10])
    del events[2]
    assert [one.body["energy"] for one in demands(feed(build(Next), events))] == [10]


def test_the_demand_is_forgotten_with_the_profile():
    effects = feed(build(Next), readings([1] * 96))
    assert {one.series for one in effects if isinstance(one, Forget)} == {
        "profile",
        "gap",
        "demand",
    }


def test_a_twin_that_comes_back_knows_the_demand_from_then_on_and_replaces_no_older_record():
    before = build(Next)
    first = demands(feed(before, readings([90, 10])))
    events = readings([90, 10, 20, 30])
    stock = replace(before, Stock)
    feed(stock, events[3:4])
    again = replace(stock, Next)
    second = demands(feed(again, events[4:]))
    assert [one.body["energy"] for one in second] == [30]
    assert {one.time_s for one in first} & {one.time_s for one in second} == set()
    assert ask(again, JULY_S)["since"] == second[0].body["since"]


def test_a_demand_is_kept_between_twins_of_this_version():
    first = build(Next)
    feed(first, readings([90, 10]))
    second = replace(first, Next)
    assert ask(second, JULY_S) == ask(first, JULY_S)
    assert demands(feed(second, readings([90, 10, 20])[3:])) == []


class Side:
    """A twin with this application on a store of its own, and what it answers to the twin of epoch 2."""

    def __init__(self, path, kind):
        self.store = Store(str(path))
        self.application = build(kind)
        self.host = ApplicationHost(self.store, {"metering-data": (kind, self.application)})
        takers = SimpleNamespace(takers=(2,))
        self.giver = Giver("house-1", self.store, None, takers, self.host, lambda: None)
        self.asked = []

    def read(self, energies):
        total, entries = 1000, []
        for number, energy in enumerate([0, *energies]):
            total += energy
            registers = [encode_register(parse_code(IMPORT), total)]
            raw = encode_reading(0, JULY_S + QUARTER_S * number, 0, 1, registers)
            entries.append((number + 1, raw))
        self.store.ingest([Batch(b"A" * 8, entries, (), len(entries), bytes(16))], 0)
        while self.host.step(0):
            pass

    async def get_json(self, _donor, path):
        self.asked.append(path)
        target, _, query = path.partition("?")
        pairs = dict(pair.split("=") for pair in query.split("&") if pair)
        request = Request("GET", target, pairs, b"", (build_twin_uri("house-1", 2),))
        return json.loads(self.giver.answer(request).body)


@pytest.mark.parametrize(
    ("before", "after", "version"), [(Stock, Next, 1), (Next, Stock, 1), (Next, Next, 2)]
)
async def test_a_successor_asks_for_the_highest_version_that_both_know(
    tmp_path, before, after, version
):
    donor, taker = Side(tmp_path / "donor.db", before), Side(tmp_path / "taker.db", after)
    donor.read([90, 10])
    arrange(taker.store, [b"A" * 8], 0)
    inheritance = Inheritance(taker.host, taker.store, donor)
    await inheritance.check(None)
    await inheritance.take([Donor(1, bytes(16), "127.0.0.1:1")], may_begin=False)
    states = [path for path in donor.asked if path.startswith("/v1/handover/state")]
    assert states == [f"/v1/handover/state?application=metering-data&version={version}"]
    exported = donor.application.export_state(version)
    assert taker.application.export_state(version) == exported


def test_the_state_of_version_1_is_that_of_the_stock_twin():
    stock, changed = build(Stock), build(Next)
    events = readings([5, 6, 7])
    feed(stock, events)
    feed(changed, events)
    assert changed.export_state(1) == stock.export_state(1)


@pytest.mark.parametrize("version", [0, 3])
def test_an_unknown_version_is_refused(version):
    with pytest.raises(ValueError, match="unknown"):
        build(Next).export_state(version)
    with pytest.raises(ValueError, match="unknown"):
        build(Next).import_state(version, b"{}")


@pytest.mark.parametrize("demand", [None, [], [1, 2], "abc", ["x", 1, 2]])
def test_a_damaged_state_leaves_the_application_as_it_was(demand):
    application = build(Next)
    feed(application, readings([90, 10]))
    before = application.export_state(2)
    document = json.loads(before)
    document["demand"] = demand
    with pytest.raises(ValueError, match="damaged"):
        application.import_state(2, json.dumps(document).encode())
    assert application.export_state(2) == before


@settings(max_examples=60)
@given(
    energies=st.lists(st.integers(-5, 500), min_size=1, max_size=40),
    ways=st.lists(st.sampled_from([Stock, Next]), min_size=1, max_size=4),
    data=st.data(),
)
def test_there_and_back_derives_the_same_as_an_uninterrupted_run(energies, ways, data):
    events = readings(energies)
    cuts = sorted(data.draw(st.integers(0, len(events))) for _ in ways)
    application, found, at = build(Stock), [], 0
    for cut, kind in zip(cuts, ways, strict=True):
        found += feed(application, events[at:cut])
        application, at = replace(application, kind), cut
    found += feed(application, events[at:])
    uninterrupted = build(Stock)
    assert of_stock(found) == feed(uninterrupted, events)
    assert application.export_state(1) == uninterrupted.export_state(1)


def test_its_process_is_the_stock_one_with_this_application_and_version():
    code = (
        "import meter_twin, meter_twin.process as process\n"
        "from meter_twin.registry import find_application\n"
        "def run():\n"
        "    kind = find_application('metering-data')\n"
        "    print(meter_twin.__version__, kind.__module__, *kind.state_versions)\n"
        "    return 7\n"
        "process.run = run\n"
        "import sys\n"
        "from meter_twin_next.__main__ import main\n"
        "sys.exit(main())\n"
    )
    path = ":".join([str(EXAMPLE / "src"), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert done.stdout.split() == ["next", "meter_twin_next.metering_data", "2", "1"]
