"""What a register did, asked of a real PostgreSQL through the port, held against the readings."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import TestClient, TestServer
from fleet_of_batches import START_S, A, B, batch
from meter_archive.database import open_pool
from meter_archive.directory import Installation, Place
from meter_archive.directory_table import save_directory
from meter_archive.group import Given, write_group
from meter_archive.migrate import migrate
from meter_archive.partitions import Partitions
from meter_archive.query_port import QueryPort, identify_forward
from meter_wire.archive_batch import ArchiveBatch

START = datetime.fromtimestamp(START_S, UTC)
EXCHANGED = START + timedelta(days=2, hours=12, minutes=5)


@pytest.fixture
async def pool(url):
    await migrate(url)
    made = await open_pool(url, size=6, statement_limit=timedelta(seconds=10))
    yield made
    made.terminate()


@pytest.fixture
async def client(pool):
    async with TestClient(TestServer(QueryPort(pool, identify_forward).build())) as asking:
        yield asking


async def give(pool, given_batch, device="abc", identity=A):
    (answer,) = await write_group(
        pool, Partitions(pool), {}, [Given(device, 1, identity, given_batch)], 36500
    )
    assert answer.conflicts == 0


def place(meter, **changed):
    return Place("homes", meter, "Europe/Berlin", "F", (), 900)._replace(**changed)


async def install(pool, *rows, now=START):
    seen = [
        Installation(device, point, since, place(meter)) for device, point, meter, since in rows
    ]
    await save_directory(pool, ["homes"], seen, now)


async def ask(client, status=200, **query):
    query = {name.rstrip("_"): value for name, value in query.items()}
    answer = await client.get("/v1/history", params=query)
    document = await answer.json()
    assert answer.status == status, document
    return document


async def test_days_of_local_time_are_differences_of_the_register(pool, client):
    await install(pool, ("abc", "P1", "house-1", START - timedelta(days=1)))
    await give(pool, batch(1, 4 * 24 * 3))
    found = await ask(client, meter="house-1", from_="2026-11-02", to="2026-11-04", every="1d")
    (device,) = found["devices"]
    assert (found["unit"], found["zone"], device["meteringPoint"]) == ("Wh", "Europe/Berlin", "P1")
    assert [row["start"] for row in device["buckets"]] == [
        "2026-11-02T00:00:00+01:00",
        "2026-11-03T00:00:00+01:00",
    ]
    # 1,000 Wh a reading of the oracle's, 96 readings a day
    assert [(row["value"], row["quality"], row["readings"]) for row in device["buckets"]] == [
        (96000, "metered", 96), (96000, "metered", 96),
    ]  # fmt: skip


async def test_a_day_that_ended_without_its_reading_is_missing_until_it_comes_late(pool, client):
    await install(pool, ("abc", "P1", "house-1", START - timedelta(days=1)))
    midnight = 4 * 47  # 2026-11-03 00:00 in Berlin is 23:00 UTC
    whole = batch(1, 4 * 24 * 3)
    await give(pool, ArchiveBatch(0, (), tuple(one for one in whole.entries if one[0] != midnight)))
    query = {"point": "P1", "from_": "2026-11-02", "to": "2026-11-04", "every": "1d"}
    buckets = (await ask(client, **query))["devices"][0]["buckets"]
    assert [(row["value"], row["quality"]) for row in buckets] == [
        (None, "missing"),
        (None, "missing"),
    ]
    await give(pool, ArchiveBatch(0, (), (whole.entries[midnight - 1],)))
    buckets = (await ask(client, **query))["devices"][0]["buckets"]
    assert [row["value"] for row in buckets] == [96000, 96000]


async def test_a_point_s_history_goes_over_an_exchange_and_never_subtracts_two_devices(
    pool, client
):
    await install(
        pool, ("abc", "P1", "house-1", START - timedelta(days=1)), ("def", "shelf", "new-1", START)
    )
    await give(pool, batch(1, 4 * 24 * 5))
    await give(pool, batch(1, 4 * 24 * 5, salt=5_000_000), device="def", identity=B)
    await install(
        pool,
        ("abc", "removed-abc", "house-1", EXCHANGED),
        ("def", "P1", "new-1", EXCHANGED),
        now=EXCHANGED,
    )
    found = await ask(client, point="P1", from_="2026-11-03", to="2026-11-05", every="1d")
    assert [one["device"] for one in found["devices"]] == ["abc", "def"]
    for device in found["devices"]:
        for row in device["buckets"]:
            hours = (
                datetime.fromisoformat(row["end"]) - datetime.fromisoformat(row["start"])
            ).total_seconds() / 3600
            assert row["value"] == 4000 * hours
    ends = [one["buckets"][-1]["end"] for one in found["devices"]]
    assert ends == ["2026-11-03T13:00:00+01:00", "2026-11-05T00:00:00+01:00"]
    assert found["devices"][1]["buckets"][0]["start"] == "2026-11-03T13:15:00+01:00"


async def test_a_device_can_be_asked_without_a_directory(pool, client):
    await give(pool, batch(1, 96))
    found = await ask(
        client,
        device="abc",
        from_="2026-11-01T01:00Z",
        to="2026-11-01T03:00Z",
        every="15m",
        register="2.8.0",
    )
    assert [row["value"] for row in found["devices"][0]["buckets"]] == [1000] * 8


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "meter"),
        ({"meter": "a", "point": "b"}, "meter"),
        ({"meter": "house-1", "every": "1y"}, "every"),
        ({"meter": "house-1", "register": "1.8.0'; DROP TABLE entry"}, "register"),
        ({"device": "abc", "from_": "yesterday"}, "from"),
        ({"device": "abc", "from_": "2026-01-01", "to": "2026-11-01", "every": "15m"}, "every"),
        ({"device": "abc", "zone": "Mars/Olympus"}, "zone"),
        ({"device": "abc", "limit": "1"}, "limit"),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_named(client, query, field):
    assert (await ask(client, 400, **query))["error"]["field"] == field


async def test_sql_in_a_name_is_a_name_that_nobody_has(pool, client):
    await give(pool, batch(1, 3))
    for name in ("' OR 1=1 --", "x'; DROP TABLE metertwin.entry; --", "\\", "%"):
        await ask(client, 404, meter=name)
        await ask(client, 404, point=name)
    assert (await ask(client, device="' OR 1=1 --", every="1h"))["devices"][0]["buckets"][0][
        "value"
    ] is None


async def test_many_ask_while_readings_come(pool, client):
    await install(pool, ("abc", "P1", "house-1", START - timedelta(days=1)))
    given = [give(pool, batch(first, first + 9)) for first in range(1, 200, 10)]
    asked = [
        ask(client, meter="house-1", from_="2026-11-01", to="2026-11-03", every="1h")
        for _ in range(20)
    ]
    await asyncio.gather(*given, *asked)
