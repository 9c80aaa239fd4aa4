"""The directory says which device was at which metering point, and when."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from meter_archive.database import open_pool
from meter_archive.directory import Changes, compare, parse_meter
from meter_archive.directory_table import save_directory
from meter_archive.migrate import migrate

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def meter(
    name, device, point, *, feeder="", at="2026-11-01T00:00:00Z", namespace="homes", **labels
):
    return {
        "metadata": {
            "name": name, "namespace": namespace, "labels": labels,
            "creationTimestamp": "2026-10-01T00:00:00Z",
            "managedFields": [{"time": at, "fieldsV1": {"f:spec": {"f:meteringPoint": {}}}},
                              {"time": "2026-11-19T00:00:00Z", "fieldsV1": {"f:status": {}}}],
        },
        "spec": {"device": device, "meteringPoint": {"id": point, "timezone": "Europe/Berlin", "feeder": feeder}},
    }  # fmt: skip


def seen(*documents):
    return [parse_meter(one) for one in documents]


def known(*documents):
    return {one.device: one for one in seen(*documents)}


def test_an_installation_begins_when_the_metering_point_was_written():
    one = parse_meter(meter("house-1", "abc", "P1"))
    assert (one.device, one.point, one.since) == ("abc", "P1", datetime(2026, 11, 1, tzinfo=UTC))
    assert (one.place.zone, one.place.capture_s) == ("Europe/Berlin", 900)
    assert parse_meter({"metadata": {}, "spec": {"device": "abc"}}) is None


def test_a_meter_that_names_no_device_is_one_of_its_own_name():
    assert parse_meter(meter("house-1", None, "P1")).device == "house-1"


def test_how_long_the_archive_keeps_readings_is_part_of_the_description():
    without, policy = meter("house-1", "abc", "P1"), meter("house-1", "abc", "P1")
    policy["spec"]["dataPolicy"] = {"retentionDays": 60, "archiveRetentionDays": 400}
    assert [one.place.keep_days for one in seen(without, policy)] == [None, 400]
    assert compare(known(without), seen(policy), NOW).moved[0].place.keep_days == 400


def test_what_has_not_changed_is_not_written():
    one = meter("house-1", "abc", "P1")
    assert compare(known(one), seen(one), NOW) == Changes((), (), ())


def test_an_exchange_ends_one_installation_and_begins_another_at_the_same_moment():
    old, new = meter("house-1", "abc", "P1"), meter("new-1", "def", "shelf")
    after = (
        meter("house-1", "abc", "removed-abc", at="2026-11-10T08:00:00Z"),
        meter("new-1", "def", "P1", at="2026-11-10T08:00:01Z"),
    )
    changes = compare(known(old, new), seen(*after), NOW)
    moments = dict(changes.ended)
    assert moments == {one.device: one.since for one in changes.begun}
    assert {(one.device, one.point) for one in changes.begun} == {
        ("abc", "removed-abc"),
        ("def", "P1"),
    }


def test_a_meter_that_is_gone_ends_now_and_a_place_may_be_described_anew():
    changes = compare(known(meter("house-1", "abc", "P1")), [], NOW)
    assert changes == Changes((("abc", NOW),), (), ())
    moved = compare(
        known(meter("house-1", "abc", "P1")), seen(meter("house-1", "abc", "P1", feeder="F")), NOW
    )
    assert (moved.ended, moved.begun, moved.moved[0].place.feeder) == ((), (), "F")


def test_of_two_resources_for_one_device_the_older_counts():
    older, younger = meter("one", "abc", "P1"), meter("two", "abc", "P2", at="2026-11-02T00:00:00Z")
    assert compare({}, seen(younger, older), NOW).begun[0].point == "P1"


@pytest.fixture
async def pool(url):
    await migrate(url)
    made = await open_pool(url, size=4, statement_limit=timedelta(seconds=10))
    yield made
    made.terminate()


async def rows(url):
    connection = await asyncpg.connect(url)
    found = await connection.fetch(
        "SELECT device, point, since, until FROM metertwin.installation ORDER BY id"
    )
    await connection.close()
    return [tuple(one) for one in found]


async def test_two_replicas_write_what_both_see_once_and_an_exchange_is_history(pool, url):
    first = seen(meter("house-1", "abc", "P1"), meter("new-1", "def", "shelf"))
    await asyncio.gather(*(save_directory(pool, ["homes"], first, NOW) for _ in range(4)))
    moment = datetime(2026, 11, 10, 8, tzinfo=UTC)
    at = "2026-11-10T08:00:00Z"
    second = seen(meter("house-1", "abc", "removed-abc", at=at), meter("new-1", "def", "P1", at=at))
    await asyncio.gather(*(save_directory(pool, ["homes"], second, NOW) for _ in range(4)))
    start = datetime(2026, 11, 1, tzinfo=UTC)
    assert sorted(await rows(url), key=str) == sorted([
        ("abc", "P1", start, moment), ("def", "shelf", start, moment),
        ("abc", "removed-abc", moment, None), ("def", "P1", moment, None),
    ], key=str)  # fmt: skip


async def test_the_meters_of_other_namespaces_are_left_alone(pool, url):
    await save_directory(pool, ["homes"], seen(meter("house-1", "abc", "P1")), NOW)
    await save_directory(
        pool, ["farms"], seen(meter("farm-1", "xyz", "P9", namespace="farms")), NOW
    )
    assert [row[3] for row in await rows(url)] == [None, None]
