"""Totals of many meters: PostgreSQL's sums are those of a recomputation from the raw readings."""

import asyncio

import pytest
from fleet_of_batches import A, B
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from meter_archive.intervals import build_buckets
from meter_archive.scope import Grant, Scope
from meter_archive.snapshots import Snapshot, build_series
from meter_archive.totals import Total
from meter_archive.totals_table import Summed, sum_energy
from quality_world import (
    DAY_S,
    EXPORT,
    IMPORT,
    QUARTER_S,
    TODAY_S,
    QualityWorld,
    energies,
    house,
    moment,
    reading,
)

TODAY = {"from_": "2025-03-04", "to": "2025-03-05", "zone": "UTC"}
ESTIMATED, CLOCK_INVALID = 0x40, 0x10


@pytest.fixture
async def world(url):
    async with QualityWorld(url) as made:
        yield made


@pytest.fixture
def running(url):
    """Return a function that runs a coroutine, and a world; Hypothesis knows no coroutines."""
    with asyncio.Runner() as runner:
        made = QualityWorld(url)
        runner.run(made.__aenter__())
        yield runner.run, made
        runner.run(made.__aexit__())


async def fleet_of(world, count, **more):
    names = [f"m{place}" for place in range(count)]
    rows = [(name, f"P-{name}", f"house-{name}") for name in names]
    since = TODAY_S - 60 * DAY_S
    await world.install(*rows, since=since, labels=(("street", "north"),), **more)
    return names


def shown(document):
    return [(one["value"], one["quality"], one["known"]) for one in document["buckets"]]


@pytest.mark.parametrize("subject", [{"feeder": "F"}, {"label": "street=north"}, {"fleet": "1"}])
async def test_a_day_is_the_sum_of_its_meters_and_says_what_it_lacks(world, subject):
    names = await fleet_of(world, 3)
    rows = energies(history=1)
    day = sum(energy for at, energy in rows.items() if at > TODAY_S)
    await world.give(house(rows), device=names[0])
    await world.give(house(rows), device=names[1])
    document = await world.ask("totals", **subject, **TODAY)
    assert shown(document) == [(2 * day, "partial", 2)]
    assert (document["meters"], document["unit"], document["zone"]) == (3, "Wh", "UTC")
    await world.give(house(rows), device=names[2])
    assert shown(await world.ask("totals", **subject, **TODAY)) == [(3 * day, "metered", 3)]
    hours = await world.ask("totals", **subject, **TODAY, every="1h")
    assert sum(one["value"] for one in hours["buckets"]) == 3 * day
    assert len(hours["buckets"]) == 24
    missing = await world.ask("totals", **subject, **TODAY, register="15.8.0")
    assert shown(missing) == [(None, "missing", 0)]


async def test_a_meter_that_comes_in_the_day_is_added_and_the_day_is_partial(world):
    names = await fleet_of(world, 1)
    rows = energies(history=1)
    day = sum(energy for at, energy in rows.items() if at > TODAY_S)
    await world.give(house(rows), device=names[0])
    await world.give(house(rows), device="late")
    noon_s = TODAY_S + DAY_S // 2
    both = [(names[0], "P-m0", "house-m0"), ("late", "P-late", "house-late")]
    await world.install(*both, since=noon_s)
    after = sum(energy for at, energy in rows.items() if at > noon_s)
    assert shown(await world.ask("totals", feeder="F", **TODAY)) == [(day + after, "partial", 1)]
    hours = (await world.ask("totals", feeder="F", **TODAY, every="1h"))["buckets"]
    assert [one["expected"] for one in hours] == [1] * 12 + [2] * 12
    assert {one["quality"] for one in hours} == {"metered"}
    assert sum(one["value"] for one in hours) == day + after


async def test_a_total_has_only_what_its_asker_may_see(world):
    names = await fleet_of(world, 2)
    rows = energies(history=1)
    for name in names:
        await world.give(house(rows), device=name)
    world.scope = Scope("tenant", grants=(Grant("P-m0", moment(TODAY_S), None),))
    document = await world.ask("totals", fleet="1", **TODAY)
    assert document["meters"] == 1
    world.scope = Scope("grid", label=("street", "south"))
    await world.ask("totals", 404, fleet="1", **TODAY)
    world.scope = Scope("nobody")
    await world.ask("totals", 404, feeder="F", **TODAY)


async def test_days_of_meters_in_several_zones_are_no_days_until_one_is_named(world):
    await fleet_of(world, 2)
    async with world.pool.acquire() as connection:
        await connection.execute("UPDATE installation SET zone = 'Asia/Tokyo' WHERE device = 'm1'")
    query = {"fleet": "1", "from_": "2025-03-04", "to": "2025-03-05"}
    assert (await world.ask("totals", 400, **query))["error"]["field"] == "zone"
    assert (await world.ask("totals", **query, zone="UTC"))["zone"] == "UTC"


async def test_meters_that_are_there_on_days_of_the_other_zone_alone_end_in_an_answer(world):
    """Days of Tokyo have the meter of UTC alone, and days of UTC the one of Tokyo."""
    await fleet_of(world, 2)
    update = "UPDATE installation SET zone = $2, since = $3, until = $4 WHERE device = $1"
    hour_s = 3600
    async with world.pool.acquire() as connection:
        for device, zone, since_s in (
            ("m0", "UTC", TODAY_S - 8 * hour_s), ("m1", "Asia/Tokyo", TODAY_S + 16 * hour_s),
        ):  # fmt: skip
            since = moment(since_s), moment(since_s + 7 * hour_s)
            await connection.execute(update, device, zone, *since)
    query = {"fleet": "1", "from_": "2025-03-04", "to": "2025-03-05"}
    async with asyncio.timeout(5):
        error = (await world.ask("totals", 400, **query))["error"]
    assert (error["field"], error["message"]) == ("zone", "is missing: these meters are in 2")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"meter": "house-m0"}, "meter"),
        ({"fleet": "1", "register": "1.7.0"}, "register"),
        ({"fleet": "1", "register": "x"}, "register"),
        ({"fleet": "1", "every": "1s"}, "every"),
        ({"fleet": "1", "from_": "2015-01-01", "to": "2025-01-01", "every": "15m"}, "every"),
        ({"label": "street"}, "label"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_its_parameter(world, query, field):
    await fleet_of(world, 1)
    assert (await world.ask("totals", 400, **query))["error"]["field"] == field


async def test_a_question_that_is_too_large_is_refused(world, monkeypatch):
    monkeypatch.setattr("meter_archive.totals.MOST_READINGS", 96)
    await fleet_of(world, 2)
    document = await world.ask("totals", 400, fleet="1", **TODAY)
    assert document["error"]["field"] == "from"


READINGS = st.lists(
    st.tuples(
        st.integers(0, 1),  # device
        st.booleans(),  # incarnation
        st.integers(-1, 5),  # quarter hour
        st.sampled_from([0, 0, 0, 1, 450]),  # seconds after it
        st.integers(0, 60),  # register
        st.sampled_from([0, 0, 0, 0, ESTIMATED, CLOCK_INVALID]),
        st.sampled_from([True, True, True, False]),  # has the register at all
    ),
    max_size=50,
)


@example(
    [(0, False, 0, 0, 9, 0, True), (0, False, 1, 0, 5, 0, True), (0, False, 2, 0, 9, 0, True)], 2
)
@example(
    [(0, True, 0, 0, 5, 0, True), (0, False, 0, 0, 4, 0, True), (0, False, 1, 0, 9, 0, True)], 1
)
@example([(0, False, 0, 0, 5, 0, True), (0, False, 1, 0, 9, CLOCK_INVALID, True)], 1)
@given(READINGS, st.sampled_from([1, 2, 4]))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_sums_are_those_of_the_raw_rows_whatever_came_and_in_which_order(running, rows, quarters):
    run, world = running
    run(check_sums(world, rows, quarters))


async def check_sums(world, rows, quarters):
    async with world.pool.acquire() as connection:
        await connection.execute("TRUNCATE device, incarnation, entry, hole, conflict CASCADE")
    given_rows = {}
    for number, (device, newer, quarter, after, value, status, has) in enumerate(rows, 1):
        time_s = TODAY_S + quarter * QUARTER_S + after
        code = IMPORT if has else EXPORT
        raw = reading(time_s, {code: value}, status)
        given_rows.setdefault((device, newer), []).append((number, raw, time_s, value, status, has))
    # the row of an incarnation is made when it first comes: an older one came first
    for device, newer in sorted(given_rows):
        numbered = [(row[0], row[1]) for row in given_rows[device, newer]]
        for part in (numbered[1::2], numbered[::2]):  # every other one comes late
            if part:
                await world.give(part, device=f"m{device}", identity=B if newer else A)
    boundaries = range(TODAY_S, TODAY_S + 4 * QUARTER_S + 1, quarters * QUARTER_S)
    expected = {}
    for device in range(2):
        snapshots = [
            Snapshot(time_s, value, status, number, int(newer), 1)
            for newer in (False, True)
            for number, _, time_s, value, status, has in given_rows.get((device, newer), [])
            if has
        ]
        series = build_series(snapshots)
        for place, bucket in enumerate(build_buckets(series, boundaries, QUARTER_S)):
            if bucket.energy is not None:
                before = expected.get(place, Summed(0, 0, 0))
                guessed = bucket.quality == "estimated"
                expected[place] = Summed(
                    before.energy + bucket.energy, before.meters + 1, before.estimated + guessed
                )
    async with world.pool.acquire() as connection:
        found = await sum_energy(
            connection, [f"m{place}" for place in range(2)], IMPORT, list(boundaries)
        )
    assert found == expected


def test_a_total_says_how_it_is_known():
    total = Total(0, 900, 5, 2, 2, 0)
    assert total.quality == "metered"
    assert total._replace(known=1).quality == "partial"
    assert total._replace(estimated=1).quality == "estimated"
    assert total._replace(energy=0, known=0).quality == "missing"
