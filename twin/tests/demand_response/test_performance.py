"""What is kept of events: when it begins, when it is finished, and that nothing loses it."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.application import RecordRange
from meter_twin.giving import Giver
from meter_twin.http_codec import unquote
from meter_twin.http_server import Request
from meter_twin.inheritance import Inheritance
from meter_twin.performance_keeper import KEPT_S, MOST_A_DAY, WAITED_S
from meter_twin.store_schema import StoreError
from meter_twin.taking import Donor
from meter_twin.utility import _Account
from meter_twin.utility_memory import UtilityMemory
from meter_wire.names import build_twin_uri
from performing_house import DAY_S, HOUR, QUARTER_S, B, House, at, make_event, take_part

START = at("2026-06-18T18:00")
END = START + 2 * HOUR
FIRST = at("2026-06-04T00:00")
PEAK = take_part(make_event(START))


def usual(at_s):
    return 40 if START <= at_s < END else 100


@pytest.fixture
def build(tmp_path):
    houses = []

    def build(name=None, **options):
        houses.append(House(tmp_path / f"{name or len(houses)}.db", **options))
        return houses[-1]

    yield build
    for house in houses:
        house.store.close()


def test_an_event_that_goes_on_shows_what_it_has_brought_so_far(build):
    house = build()
    house.use(START + 1800, usual, FIRST)
    (row,) = house.look(START + 1800, PEAK)
    assert row["result"] == "running"
    assert row["end"] == "2026-06-18T18:00:00Z"
    assert (row["baseline_wh"], row["metered_wh"], row["delivered_wh"]) == (200, 80, 120)
    assert row["quarter_hours"] == {
        "start": "2026-06-18T16:00:00Z",
        "baseline_wh": [100, 100],
        "metered_wh": [40, 40],
        "delivered_wh": [60, 60],
    }
    house.use(START + 2700, usual)
    assert house.look(START + 2700, PEAK)[0]["delivered_wh"] == 180


def test_each_row_says_that_it_is_an_estimate(build):
    house = build()
    house.use(END, usual, FIRST)
    house.look(START, PEAK)
    (row,) = house.look(END, PEAK)
    assert (row["result"], row["source"]) == ("delivered", "estimated")


def test_an_event_that_is_over_waits_for_its_last_quarter_hour(build):
    house = build()
    house.use(END - QUARTER_S, usual, FIRST)
    house.look(START, PEAK)
    (row,) = house.look(END, PEAK)
    assert (row["result"], row["delivered_wh"]) == ("waiting", 7 * 60)
    house.use(END, usual)
    (row,) = house.look(END + 20, PEAK)
    assert (row["result"], row["delivered_wh"]) == ("delivered", 8 * 60)


def test_it_waits_when_the_book_has_forgotten_the_event_and_not_for_ever(build):
    house = build()
    house.use(END - QUARTER_S, usual, FIRST)
    house.look(START, PEAK)
    assert house.look(END + WAITED_S - 1)[0]["result"] == "waiting"
    (row,) = house.look(END + WAITED_S)
    assert (row["result"], row["delivered_wh"]) == ("incomplete", None)


def test_a_finished_event_is_written_no_more(build, monkeypatch):
    house = build()
    house.use(END, usual, FIRST)
    house.look(START, PEAK)
    before = house.look(END, PEAK)
    monkeypatch.setattr(house.host, "keep", None)
    late = take_part(PEAK.event, offset_s=600)  # it acts on for ten minutes
    assert house.look(END + 60, late) == before
    assert house.look(END + DAY_S) == before


def test_nothing_is_written_while_nothing_changes(build, monkeypatch):
    house = build()
    house.use(START + 1800, usual, FIRST)
    before = house.look(START + 1800, PEAK)
    monkeypatch.setattr(house.host, "keep", None)
    assert house.look(START + 1900, PEAK) == before


@pytest.mark.parametrize(
    "status", [0x01, 0x02, 0x08, 0x10, 0x20, 0x40], ids=lambda one: f"status {one:#x}"
)
def test_a_bad_quarter_hour_of_the_event_is_never_guessed(build, status):
    house = build()
    bad_s = START + 1800
    house.use(END + HOUR, usual, FIRST, lambda at_s: status if at_s == bad_s else 0)
    house.look(START, PEAK)
    (row,) = house.look(END + HOUR, PEAK)
    assert (row["result"], row["baseline_wh"], row["delivered_wh"]) == ("incomplete", 800, None)
    assert None in row["quarter_hours"]["metered_wh"]


def test_a_clock_that_is_stepped_and_a_new_incarnation_leave_holes(build):
    house = build()
    house.use(START + 1800, usual, FIRST)
    house.look(START, PEAK)
    house.read([(house.now_s + 120, house.register_wh + 10), (house.now_s, house.register_wh + 40)])
    house.use(START + 3600, usual)
    house.read([(START + 4500, 7)], incarnation=B)
    house.read([(START + 4500 + QUARTER_S * n, 7 + 40 * n) for n in range(1, 8)], incarnation=B)
    (row,) = house.look(END + HOUR, PEAK)
    assert row["result"] == "incomplete"
    assert row["quarter_hours"]["metered_wh"] == [40, 40, 40, 40, None, 40, 40, 40]


@pytest.mark.parametrize(
    "kept",
    [
        take_part(make_event(START), is_in=False),
        take_part(make_event(START, name="ELECTRICITY_PRICE")),
        take_part(make_event(START + 1)),
        take_part(make_event(START), offset_s=1),
        take_part(make_event(START - 3 * HOUR)),
        take_part(make_event(START), cancelled_s=START - 1),
        take_part(make_event(-5, START + HOUR)),
    ],
    ids=[
        *("opted out", "a price", "far", "before its random offset", "over", "cancelled before"),
        "without a time",
    ],
)
def test_what_does_not_act_on_the_house_is_not_kept(build, kept):
    house = build()
    house.use(START, usual, START - HOUR)
    assert house.look(START, kept) == []


def test_a_test_event_is_kept_without_figures(build):
    house = build()
    house.use(END, usual, FIRST)
    test = take_part(make_event(START, is_test=True), is_in=False)
    house.look(START, test)
    (row,) = house.look(END, test)
    assert (row["result"], row["test"], row["metered_wh"]) == ("test", True, None)


def test_an_event_that_is_cancelled_counts_until_then(build):
    house = build()
    house.use(END, usual, FIRST)
    house.look(START, PEAK)
    cancelled = take_part(PEAK.event, cancelled_s=START + HOUR)
    (row,) = house.look(START + HOUR, cancelled)
    assert (row["result"], row["delivered_wh"]) == ("delivered", 4 * 60)


def test_an_event_without_an_end_is_as_long_as_it_has_been(build):
    house = build()
    endless = take_part(make_event(START, 0))
    house.use(START + HOUR, usual, FIRST)
    (row,) = house.look(START + HOUR, endless)
    assert (row["result"], row["end"], row["delivered_wh"]) == ("running", None, 240)
    (row,) = house.look(START + HOUR + 10, endless._replace(cancelled_from_s=START + HOUR))
    assert (row["result"], row["delivered_wh"]) == ("delivered", 240)


def test_a_house_that_leaves_an_event_is_still_measured(build):
    house = build()
    house.use(END, usual, FIRST)
    house.look(START, PEAK)
    left = take_part(PEAK.event, is_in=False)
    (row,) = house.look(END, left)
    assert (row["result"], row["opt"], row["delivered_wh"]) == ("delivered", "optOut", 480)


def test_an_event_that_is_moved_is_another_one(build):
    house = build()
    house.use(END, usual, FIRST)
    house.look(START, PEAK)
    house.look(START + HOUR, take_part(make_event(START + 2 * HOUR)))
    moved = take_part(make_event(START + 2 * HOUR))
    rows = house.look(START + 2 * HOUR, moved)
    assert [(row["start"][11:16], row["result"]) for row in rows] == [
        ("16:00", "delivered"),
        ("18:00", "running"),
    ]
    assert rows[0]["delivered_wh"] == 240


def test_an_event_that_is_prolonged_is_reckoned_again(build):
    house = build()
    house.use(END, usual, FIRST)
    short = take_part(make_event(START, HOUR))
    house.look(START, short)
    assert house.look(START + HOUR, short)[0]["delivered_wh"] == 240
    (row,) = house.look(START + HOUR + 5, PEAK)
    assert row["result"] == "running"
    assert house.look(END, PEAK)[0]["delivered_wh"] == 480


def test_events_of_one_beginning_do_not_replace_each_other(build):
    house = build()
    house.use(END, usual, FIRST)
    events = [
        take_part(make_event(START + number // 2, event_id=f"e{number}")) for number in range(6)
    ]
    house.look(START + 3, *events)
    house.restart()
    assert sorted(row["event"] for row in house.look(END + 3, *events)) == [
        f"e{number}" for number in range(6)
    ]


@pytest.mark.parametrize(
    ("options", "result"),
    [({"baseline": "none"}, "none"), ({"metering": False}, "no-profile"), ({"dr": False}, None)],
)
def test_without_a_method_or_a_profile_there_is_no_figure(build, options, result):
    house = build(**options)
    house.use(END, usual, FIRST)
    house.look(START, PEAK)
    rows = house.look(END, PEAK)
    assert [(row["result"], row["delivered_wh"]) for row in rows] == [(result, None)] * len(rows)
    assert bool(rows) is (result is not None)


def test_an_event_of_a_day_without_a_method_is_left_out_once_there_is_one(build):
    house = build(baseline="none")
    house.use(END, usual, at("2026-05-25T00:00"))
    early = take_part(make_event(START - DAY_S, HOUR, "early"))
    house.look(START - DAY_S, early)
    house.look(START - DAY_S + HOUR, early)
    house.settings[2]["baseline"] = "10-of-10"
    house.restart()
    house.look(START, PEAK)
    row = house.look(END, PEAK)[-1]
    assert row["days"][-1] == "2026-06-16"


def test_the_last_twenty_are_shown_and_sixty_days_are_kept(build):
    house = build(baseline="none")
    house.use(START, usual, START - HOUR)
    for day in range(70):
        start_s = START + day * DAY_S
        event = take_part(make_event(start_s, HOUR, f"e{day}"))
        house.look(start_s, event)
        house.read([(start_s + HOUR, house.register_wh)])
        house.look(start_s + HOUR, event)
    assert [row["event"] for row in house.rows] == [f"e{day}" for day in range(50, 70)]
    kept = house.host.load("utility", RecordRange("performance", 0, 1 << 53))
    assert len(kept) == KEPT_S // DAY_S + 1


def test_a_utility_of_too_many_events_does_not_fill_the_store(build):
    house = build(baseline="none")
    house.use(START, usual, START - HOUR)
    many = [take_part(make_event(START + n, DAY_S, f"e{n}")) for n in range(2 * MOST_A_DAY)]
    for _ in range(2):
        house.look(START + HOUR, *many)
    kept = house.host.load("utility", RecordRange("performance", 0, 1 << 53))
    assert len(kept) == MOST_A_DAY


def test_an_end_that_no_calendar_has_is_none(build):
    house = build()
    house.use(START + HOUR, usual, FIRST)
    (row,) = house.look(START + HOUR, take_part(make_event(START, 10**14)))
    assert row["end"] is None
    house.restart()
    assert house.look(START + HOUR)[0]["result"] == "delivered"


def test_what_the_store_refuses_is_written_by_the_next_step(build):
    house = build()
    house.use(END, usual, FIRST)
    house.look(START, PEAK)
    house.store.connection.execute(
        "CREATE TRIGGER no BEFORE UPDATE ON record BEGIN SELECT raise(ABORT, 'no'); END"
    )
    with pytest.raises(StoreError):
        house.look(END, PEAK)
    house.store.connection.execute("DROP TRIGGER no")
    assert house.look(END, PEAK)[0]["result"] == "delivered"


def go_through(house, moments):
    """Go through two events, with a restart before each of these steps; return what is kept."""
    other = take_part(make_event(START + 3 * HOUR, HOUR, "second"), offset_s=100)
    house.use(START - HOUR, usual, at("2026-06-10T12:00"))
    for step in range(24):
        now_s = START - HOUR + (step + 1) * QUARTER_S
        house.use(now_s, usual)
        if step in moments:
            house.restart()
        house.look(now_s + 30, PEAK, other)
    rows = house.rows
    house.store.close()
    return rows


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = tmp_path_factory.mktemp("house") / "twin.db"
    rows = go_through(House(path, baseline="high-4-of-5"), ())
    assert [row["result"] for row in rows] == ["delivered", "delivered"]
    return rows


@settings(max_examples=10, deadline=None)
@given(moments=st.sets(st.integers(0, 23)))
def test_a_restart_at_any_moment_changes_nothing(expected, tmp_path_factory, moments):
    path = tmp_path_factory.mktemp("house") / "twin.db"
    assert go_through(House(path, baseline="high-4-of-5"), moments) == expected


class Client:
    """Asks a twin's giver, without a network."""

    def __init__(self, house):
        succession = SimpleNamespace(takers=(2,))
        self.giver = Giver("house-1", house.store, None, succession, house.host, lambda: None)
        self.peer = (build_twin_uri("house-1", 2),)

    async def get_json(self, _donor, path):
        target, _, query = path.partition("?")
        pairs = dict(pair.split("=") for pair in query.split("&") if pair)
        query = {name: unquote(value) for name, value in pairs.items()}
        return json.loads(self.giver.answer(Request("GET", target, query, b"", self.peer)).body)


def hand_over(donor, taker):
    """Give another house of the same meter what the donor has: entries, states, records."""
    taker.now_s, taker.register_wh, taker.seq = donor.now_s, donor.register_wh, dict(donor.seq)
    rows = donor.store.connection.execute("SELECT * FROM entry").fetchall()
    (row,) = donor.store.connection.execute("SELECT * FROM incarnation").fetchall()
    with taker.store.transaction() as connection:
        connection.execute(f"INSERT INTO incarnation VALUES ({','.join('?' * len(row))})", row)
        marks = ",".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO entry VALUES ({marks})", rows)
    taker.restart()
    inheritance = Inheritance(taker.host, taker.store, Client(donor))
    asyncio.run(inheritance.take([Donor(1, bytes(16), "127.0.0.1:1")], may_begin=True))
    assert inheritance.is_done


def test_a_handover_in_the_middle_of_an_event_changes_no_figure(build):
    first, second, alone = build(), build(), build()
    for house in (first, alone):
        house.use(START + HOUR, usual, FIRST)
        house.look(START + HOUR, PEAK)
    hand_over(first, second)
    assert second.rows == first.rows
    for house in (second, alone):
        house.use(END, usual)
        house.look(END, PEAK)
    assert second.rows == alone.rows
    assert second.rows[0]["result"] == "delivered"


def test_a_twin_that_knows_nothing_of_it_hands_it_on(build):
    """Records go with their application, whatever is in them; so an older twin in between too."""
    first, old, third = build(), build(), build()
    first.use(START + HOUR, usual, FIRST)
    first.look(START + HOUR, PEAK)
    hand_over(first, old)
    old.use(END, usual)  # and nobody looks
    hand_over(old, third)
    assert third.look(END, PEAK)[0]["delivered_wh"] == 480


def test_the_states_are_those_of_before_in_either_direction():
    assert UtilityMemory.state_versions == (1,)
    memory = UtilityMemory()
    memory.import_state(1, b"null")
    assert memory.export_state(1) == b"null"


def test_without_an_event_nobody_is_loaded_who_keeps(build):
    house = build()
    house.use(START, usual, START - HOUR)
    account = _Account(house.host, {})
    account.step((), START)
    assert account._keeper is None
    house.look(START, PEAK)
    again = _Account(house.host, {})
    again.step((), START)
    assert again._keeper is not None, "an event of before goes on"


def test_a_look_is_quick(build):
    """31 days are read for one event: it must not hold the loop that serves the meter."""
    house = build(baseline="high-4-of-5")
    house.use(START + 1800, usual, at("2026-05-01T00:00"))
    begun = time.process_time()
    house.look(START + 1800, PEAK)
    assert time.process_time() - begun < 0.5
