"""Clocks by their events and by readings that came before their time, through the port."""

from datetime import timedelta

import pytest
from fleet_of_batches import B
from meter_archive.scope import Grant, Scope
from quality_world import (
    DAY_S,
    IMPORT,
    QUARTER_S,
    TODAY,
    TODAY_S,
    QualityWorld,
    event,
    moment,
    reading,
)

C = bytes(range(16, 24))


@pytest.fixture
async def world(url):
    async with QualityWorld(url) as made:
        rows = [(name, f"P-{name}", f"house-{name}") for name in ("m0", "m1", "m2", "m3")]
        await made.install(*rows, since=TODAY_S - 60 * DAY_S, zone="UTC")
        yield made


async def test_the_drift_of_a_clock_is_what_it_was_stepped_by_since_it_was_set(world):
    await world.give(
        [
            (1, event(TODAY_S - 9 * DAY_S, "clock_set")),
            (2, event(TODAY_S + 100, "clock_step", 7776)),
            (3, event(TODAY_S + DAY_S // 2, "clock_refused", -61_000)),
        ],
        device="m0",
    )
    (meter,) = (await world.ask("drift", meter="house-m0", **TODAY))["meters"]
    elapsed_s = 9 * DAY_S + 100
    assert meter["ppm"] == round(7776 * 1000 / elapsed_s, 3)
    assert (meter["steps"], meter["sets"], meter["refused"]) == (1, 0, 1)
    assert meter["largestOffsetMs"] == -61_000
    assert meter["days"] == [
        {"day": "2025-03-04", "steps": 1, "offsetMs": 7776, "largestOffsetMs": 7776}
    ]


async def test_a_fleet_s_clocks_come_worst_first_and_good_ones_are_counted(world):
    steps = {"m0": 4000, "m1": -90_000, "m2": 5000}
    for (device, offset), identity in zip(steps.items(), (B, C, bytes(8)), strict=True):
        rows = [
            (1, event(TODAY_S + 100, "clock_step", offset)),
            (2, event(TODAY_S + DAY_S - 1, "clock_step", offset)),
            (3, event(TODAY_S + DAY_S, "clock_step", 10**6)),
            (4, event(TODAY_S + 50, "dip", 1, 200, 100_000)),
        ]
        await world.give(rows, device=device, identity=identity)
    document = await world.ask("drift", fleet="1", **TODAY)
    assert [(one["device"], one["largestOffsetMs"]) for one in document["meters"]] == [
        ("m1", -90_000), ("m2", 5000), ("m0", 4000),
    ]  # fmt: skip
    assert (document["withoutFault"], document["leftOut"]) == (1, 0)
    assert document["meters"][0]["days"][0]["offsetMs"] == -180_000
    short = await world.ask("drift", feeder="F", limit=2, **TODAY)
    assert ([one["device"] for one in short["meters"]], short["leftOut"]) == (["m1", "m2"], 1)
    # a fleet's events are found with the index of events, those of its readings are not looked at
    async with world.pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        plan = await connection.fetch(
            "EXPLAIN SELECT FROM entry e WHERE e.event IN (3, 4, 20) AND e.event <> 13"
            " AND e.time BETWEEN $1 AND $2", moment(TODAY_S), moment(TODAY_S + 100),
        )  # fmt: skip
    assert any("time_incarnation_seq_idx" in row[0] for row in plan), plan


@pytest.mark.parametrize(("early_s", "ahead"), [(61, [60]), (2, [1]), (1, []), (-50, [])])
async def test_a_reading_that_came_before_its_time_shows_a_fast_clock(world, early_s, ahead):
    await world.give([(1, reading(TODAY_S + QUARTER_S, {IMPORT: 1}))], device="m0")
    doubtful = [(2, reading(TODAY_S + 2 * QUARTER_S, {IMPORT: 1}, 0x10))]
    await world.give(doubtful, device="m0")
    async with world.pool.acquire() as connection:
        await connection.execute(
            "UPDATE entry SET received = time - CASE status WHEN 0 THEN $1::interval ELSE $2::interval END",
            timedelta(seconds=early_s), timedelta(days=1),
        )  # fmt: skip
    document = await world.ask("drift", fleet="1", **TODAY)
    assert [one["aheadSeconds"] for one in document["meters"]] == ahead
    assert [one["ppm"] for one in document["meters"]] == [None] * len(ahead)


async def test_a_tenant_s_drift_is_measured_from_no_setting_before_it(world):
    rows = [
        (1, event(TODAY_S - 9 * DAY_S, "clock_set")),
        (2, event(TODAY_S + 100, "clock_step", 7776)),
        (3, event(TODAY_S + 100 + DAY_S // 2, "clock_step", 86_400)),
    ]
    await world.give(rows, device="m0")
    world.scope = Scope("t", grants=(Grant("P-m0", moment(TODAY_S - DAY_S), None),))
    (meter,) = (await world.ask("drift", fleet="1", **TODAY))["meters"]
    assert (meter["ppm"], meter["steps"]) == (2000.0, 2)
    world.scope = Scope("t", grants=(Grant("P-m1", moment(TODAY_S - DAY_S), None),))
    assert (await world.ask("drift", fleet="1", **TODAY))["meters"] == []
    await world.ask("drift", 404, meter="house-m0", **TODAY)


async def test_too_many_days_of_a_fleet_are_refused(world):
    query = {"from_": "2025-03-01", "to": "2025-03-12"}
    assert (await world.ask("drift", 400, fleet="1", **query))["error"]["field"] == "to"
    await world.ask("drift", meter="house-m0", **query)
