"""Read success of meters and fleets by local day, through the port."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from fleet_of_batches import B
from meter_archive.performance import Arrival, rate_day
from meter_archive.scope import Grant, Scope
from quality_world import (
    DAY_S,
    IMPORT,
    QUARTER_S,
    TODAY_S,
    QualityWorld,
    energies,
    house,
    moment,
    reading,
)

BERLIN = ZoneInfo("Europe/Berlin")
DEADLINE = datetime(2025, 3, 5, 7, 0, tzinfo=UTC)
"""08:00 in Berlin."""
ASKED = {"from_": "2025-03-04", "to": "2025-03-05"}


@pytest.fixture
async def world(url):
    async with QualityWorld(url) as made:
        yield made


async def arrive(world, received, first=0, last=1 << 40):
    """Say when entries were received whose own time lies between two seconds."""
    async with world.pool.acquire() as connection:
        await connection.execute(
            "UPDATE entry SET received = $1 WHERE time BETWEEN $2 AND $3",
            received, moment(first), moment(min(last, 4_000_000_000)),
        )  # fmt: skip


async def fleet_of(world, count=4):
    names = [f"m{place}" for place in range(count)]
    rows = [(name, f"P-{name}", f"house-{name}") for name in names]
    await world.install(*rows, since=TODAY_S - 60 * DAY_S, labels=(("street", "north"),))
    return names


async def test_a_reading_is_in_time_by_eight_of_the_next_local_day(world):
    (name,) = await fleet_of(world, 1)
    await world.give(house(energies(history=1, days=2)), device=name)
    midnight_s = TODAY_S - 3600
    await arrive(world, DEADLINE)
    await arrive(world, DEADLINE + timedelta(seconds=1), midnight_s + QUARTER_S, midnight_s + 1800)
    document = await world.ask("performance", meter=f"house-{name}", **ASKED)
    assert (document["target"], document["deadline"]) == (0.99, "08:00")
    (day,) = document["days"]
    assert day == {
        "day": "2025-03-04", "final": True, "meters": 1, "complete": 0, "silent": 0,
        "expected": 96, "inTime": 94, "late": 2, "missing": 0, "success": 0.979167, "met": False,
    }  # fmt: skip
    (meter,) = document["meters"]
    assert (meter["device"], meter["meteringPoint"], meter["late"]) == (name, f"P-{name}", 2)


async def test_a_fleet_counts_its_meters_worst_first_and_those_that_gave_nothing(world):
    names = await fleet_of(world)
    rows = house(energies(history=1, days=2))
    await world.give(rows, device=names[0])
    await world.give([one for one in rows if one[0] not in {120, 121}], device=names[1])
    await world.give(rows, device=names[2])
    await arrive(world, DEADLINE)
    for subject in ({"fleet": "1"}, {"feeder": "F"}, {"label": "street=north"}):
        document = await world.ask("performance", **subject, **ASKED)
        (day,) = document["days"]
        assert (day["meters"], day["complete"], day["silent"]) == (4, 2, 1)
        assert (day["expected"], day["inTime"], day["missing"]) == (384, 286, 98)
        assert [one["device"] for one in document["meters"]] == ["m3", "m1", "m0", "m2"]
        assert (document["meters"][1]["missing"], document["meters"][1]["met"]) == (2, False)
        assert document["meters"][2]["met"]
    short = await world.ask("performance", fleet="1", limit=1, **ASKED)
    assert ([one["device"] for one in short["meters"]], short["leftOut"]) == (["m3"], 3)
    assert short["days"] == document["days"]
    for subject in ({"feeder": "G"}, {"label": "street=south"}, {"fleet": "1", "namespace": "x"}):
        await world.ask("performance", 404, **subject, **ASKED)


@pytest.mark.parametrize(
    ("day", "expected"), [("2025-03-30", 92), ("2025-10-26", 100), ("2025-03-04", 96)]
)
async def test_days_of_92_and_100_quarter_hours_are_as_the_pure_rule_has_them(world, day, expected):
    (name,) = await fleet_of(world, 1)
    local = date.fromisoformat(day)
    begin_s = int(datetime(local.year, local.month, local.day, tzinfo=UTC).timestamp()) - 6 * 3600
    rows = [
        (place + 1, reading(begin_s + place * QUARTER_S, {IMPORT: place})) for place in range(150)
    ]
    # out of the capture period, without a valid clock, and a second one of the same time
    rows += [(200, reading(begin_s + 40 * QUARTER_S + 7, {IMPORT: 0}))]
    rows += [(201, reading(begin_s + 140 * QUARTER_S, {IMPORT: 0}, 0x10))]
    await world.give(rows, device=name)
    await world.give([(1, reading(begin_s + 50 * QUARTER_S, {IMPORT: 0}))], device=name, identity=B)
    received = datetime(local.year, local.month, local.day, 6, tzinfo=UTC) + timedelta(days=1)
    await arrive(world, received)
    await arrive(world, received + timedelta(hours=2), begin_s + 50 * QUARTER_S, begin_s + 60 * 900)
    async with world.pool.acquire() as connection:  # one of a second's two readings came in time
        await connection.execute(
            "UPDATE entry SET received = $1 WHERE incarnation = (SELECT max(id) FROM incarnation)",
            received,
        )
    following = (local + timedelta(days=1)).isoformat()
    document = await world.ask("performance", fleet="1", from_=day, to=following)
    (found,) = document["days"]
    assert found["expected"] == expected
    async with world.pool.acquire() as connection:
        stored = await connection.fetch(
            "SELECT extract(epoch FROM time)::bigint AS time_s, received FROM entry"
            " WHERE status & 16 = 0"
        )
    arrivals = [Arrival(row["time_s"], int(row["received"].timestamp())) for row in stored]
    rated = rate_day(local, BERLIN, arrivals, QUARTER_S)
    assert (found["expected"], found["inTime"], found["late"]) == rated
    assert rated.late > 0


async def test_the_reading_of_midnight_is_of_one_day(world):
    (name,) = await fleet_of(world, 1)
    await world.give(house(energies(history=1, days=2)), device=name)
    await arrive(world, DEADLINE)
    document = await world.ask("performance", fleet="1", from_="2025-03-04", to="2025-03-06")
    assert [(one["day"], one["inTime"], one["missing"]) for one in document["days"]] == [
        ("2025-03-04", 96, 0),
        ("2025-03-05", 96, 0),
    ]


async def test_of_a_day_only_what_a_tenure_has_is_expected(world):
    names = await fleet_of(world)
    for name in names[:2]:
        await world.give(house(energies(history=1, days=2)), device=name)
    await arrive(world, DEADLINE)
    noon = moment(TODAY_S - 3600 + DAY_S // 2)
    world.scope = Scope("tenant", grants=(Grant("P-m0", noon, None),))
    document = await world.ask("performance", fleet="1", **ASKED)
    (day,) = document["days"]
    assert (day["meters"], day["expected"], day["inTime"]) == (1, 48, 48)
    assert [one["device"] for one in document["meters"]] == ["m0"]
    world.scope = Scope("tenant", grants=(Grant("P-m0", None or moment(0), noon),))
    (day,) = (await world.ask("performance", fleet="1", **ASKED))["days"]
    # the reading at noon closes the last interval of the tenure that ends then
    assert (day["expected"], day["inTime"]) == (48, 48)
    world.scope = Scope("south", label=("street", "south"))
    await world.ask("performance", 404, fleet="1", **ASKED)


async def test_a_day_that_is_not_over_is_not_final(world):
    await fleet_of(world, 1)
    today = datetime.now(UTC).date()
    query = {"from_": today.isoformat(), "to": (today + timedelta(days=1)).isoformat()}
    document = await world.ask("performance", fleet="1", **query)
    assert not document["days"][0]["final"]
    assert document["days"][0]["expected"] <= 96
    (yesterday,) = (await world.ask("performance", fleet="1"))["days"]
    assert yesterday["silent"] == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"fleet": "1", "from_": "2025-03-01", "to": "2025-03-09"}, "to"),
        ({"fleet": "1", "from_": "2025-03-02", "to": "2025-03-01"}, "to"),
        ({"meter": "house-m0", "from_": "2025-03-01T06:00"}, "from"),
        ({"fleet": "1", "label": "a=b"}, "meter"),
        ({"label": "street"}, "label"),
        ({"fleet": "1", "limit": "10001"}, "limit"),
    ],
)
async def test_a_wrong_parameter_of_performance_is_named(world, query, field):
    await fleet_of(world, 1)
    assert (await world.ask("performance", 400, **query))["error"]["field"] == field
