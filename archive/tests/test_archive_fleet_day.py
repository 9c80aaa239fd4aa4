"""A fleet's day of 10,000 meters is rated within its time, by the whole way of a question."""

import time

import pytest
from quality_world import IMPORT, TODAY, TODAY_S, QualityWorld, moment, reading

METERS = 10_000
GOAL_S = 5


@pytest.fixture
async def world(url):
    async with QualityWorld(url) as made:
        yield made


async def fill(world):
    """Write a day of quarter hours of each meter; every hundredth reading came after the deadline."""
    await world.give([(1, reading(TODAY_S, {IMPORT: 1}))], device="m0")
    names = [(f"m{number}", f"P{number}", f"house-{number}") for number in range(1, METERS + 1)]
    await world.install(*names, since=TODAY_S - 86400, zone="UTC")
    async with world.pool.acquire() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(
            "INSERT INTO device (name) SELECT device FROM installation; INSERT INTO incarnation"
            " (device, identity) SELECT id, '\\x0000000000000000' FROM device WHERE name <> 'm0'"
        )
        await connection.execute(
            "INSERT INTO entry SELECT t, CASE WHEN (n + i.id) % 100 = 0 THEN $3::timestamptz ELSE t END, n, i.id,"
            " 1, 1, 0, 1, NULL, false, array[n, n, n, n, n, n, n, n, n, n]::bigint[], $1"
            " FROM generate_series(1, 96) n, LATERAL (SELECT $2::timestamptz + n * interval '15 min' AS t) AS at,"
            " incarnation i JOIN device d ON d.id = i.device WHERE d.name <> 'm0'",
            b"0" * 120, moment(TODAY_S), moment(TODAY_S + 2 * 86400), timeout=120,
        )  # fmt: skip
        await connection.execute("ANALYZE entry")


async def best(world, path):
    """Return the answer and the shortest of three times: others use this machine too."""
    times = []
    for _ in range(3):
        begin = time.monotonic()
        document = await world.ask(path, fleet="1", **TODAY)
        times.append(time.monotonic() - begin)
    return document, min(times)


@pytest.mark.slow
async def test_the_day_of_ten_thousand_meters_is_rated_in_five_seconds(world):
    await fill(world)
    document, took_s = await best(world, "performance")
    assert took_s < GOAL_S
    (day,) = document["days"]
    assert (day["meters"], day["expected"]) == (METERS, METERS * 96)
    assert (day["late"], day["missing"]) == (METERS * 96 // 100, 0)
    assert day["success"] == 0.99
    assert document["leftOut"] == METERS - 100
    drift, took_s = await best(world, "drift")
    assert took_s < GOAL_S
    assert drift["withoutFault"] == METERS
