"""Readings and events as they are, page by page, of what an asker may see."""

import base64

import pytest
from fleet_of_batches import START_S, B
from meter_archive.scope import Grant, Scope
from quality_world import EXPORT, IMPORT, QUARTER_S, QualityWorld, event, moment, reading


@pytest.fixture
async def world(url):
    async with QualityWorld(url) as made:
        yield made


def readings(count, first=1, begin_s=START_S, status=0):
    return [
        (number, reading(begin_s + number * QUARTER_S, {IMPORT: 100 * number, EXPORT: 7}, status))
        for number in range(first, first + count)
    ]


DAY = {"from_": "2026-11-01T00:00Z", "to": "2026-11-02T00:00Z"}


async def test_a_reading_is_told_as_the_meter_gave_it(world):
    await world.install(("abc", "P1", "house-1"))
    ((_, raw),) = rows = readings(1, status=1)
    await world.give(rows)
    (found,) = (await world.ask("readings", meter="house-1", raw=1, **DAY))["readings"]
    assert base64.b64decode(found["raw"]) == raw
    assert found["registers"] == {
        "1-0:1.8.0*255": {"value": 100, "unit": "Wh", "scaler": 0},
        "1-0:2.8.0*255": {"value": 7, "unit": "Wh", "scaler": 0},
    }
    assert (found["device"], found["meteringPoint"], found["seq"]) == ("abc", "P1", 1)
    assert found["incarnation"] == bytes(range(8)).hex()
    assert found["time"] == "2026-11-01T01:15:00+01:00"
    assert (found["status"], found["provenance"]) == (["power_down"], "twin-attested")
    (one,) = (await world.ask("readings", meter="house-1", register="2.8.0", **DAY))["readings"]
    assert list(one["registers"]) == ["1-0:2.8.0*255"]
    assert "raw" not in one


@pytest.mark.parametrize("limit", [1, 7, 40, 41])
async def test_pages_have_every_reading_once_in_order(world, limit):
    await world.install(("abc", "P1", "house-1"))
    await world.give(readings(40))
    await world.give([(1, reading(START_S + 5 * QUARTER_S, {IMPORT: 1}))], identity=B)
    found, after = [], {}
    while True:
        page = await world.ask("readings", meter="house-1", limit=limit, **DAY, **after)
        assert len(page["readings"]) <= limit
        found += [(one["time"], one["incarnation"], one["seq"]) for one in page["readings"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert len(found) == len(set(found)) == 41
    assert [one[0] for one in found] == sorted(one[0] for one in found)


async def test_from_is_included_and_to_is_not(world):
    await world.install(("abc", "P1", "house-1"))
    await world.give(readings(5))
    found = await world.ask(
        "readings", meter="house-1", from_="2026-11-01T00:30Z", to="2026-11-01T01:00Z"
    )
    assert [one["seq"] for one in found["readings"]] == [2, 3]


async def test_a_tenant_reads_nothing_before_or_after_its_tenure(world):
    await world.install(("abc", "P1", "house-1"), ("def", "P2", "house-2"))
    await world.give([*readings(10), (11, event(START_S + 3 * QUARTER_S, "tamper_cover", 1))])
    await world.give(readings(10), device="def", identity=B)
    since, until = START_S + 4 * QUARTER_S, START_S + 7 * QUARTER_S
    world.scope = Scope("tenant", grants=(Grant("P1", moment(since), moment(until)),))
    for subject in ({"point": "P1"}, {"meter": "house-1"}, {"device": "abc"}):
        seen = await world.ask("readings", **subject, **DAY)
        assert [one["seq"] for one in seen["readings"]] == [4, 5, 6]
        assert (await world.ask("events", **subject, **DAY))["events"] == []
    for subject in ({"point": "P2"}, {"meter": "house-2"}, {"device": "def"}):
        await world.ask("readings", 404, **subject, **DAY)
    # a cursor of somebody else opens nothing
    far = await world.ask("readings", device="abc", after="0-1-0", **DAY)
    assert [one["seq"] for one in far["readings"]] == [4, 5, 6]
    world.scope = Scope("tenant", grants=(Grant("P1", moment(until), None),))
    early = {"from_": "2026-11-01T00:00Z", "to": "2026-11-01T01:45Z"}
    await world.ask("readings", 404, point="P1", **early)


async def test_two_tenures_of_one_tenant_have_nothing_of_who_was_between(world):
    await world.install(("abc", "P1", "house-1"))
    await world.give(readings(10))
    spans = [(2, 4), (3, 5), (8, 9)]
    times = [[moment(START_S + at * QUARTER_S) for at in span] for span in spans]
    world.scope = Scope("tenant", grants=tuple(Grant("P1", *span) for span in times))
    seen = await world.ask("readings", point="P1", **DAY)
    assert [one["seq"] for one in seen["readings"]] == [2, 3, 4, 8]


async def test_an_event_has_its_name_and_arguments(world):
    await world.install(("abc", "P1", "house-1"))
    await world.give(
        [
            *readings(2),
            (3, event(START_S + 100, "clock_step", -4500)),
            (4, event(START_S + 200, "calendar", 3, b"summer")),
            (5, event(START_S + 300, "voltage_10min", 600, 0, 229000, 230000, 231000)),
        ]
    )
    found = (await world.ask("events", meter="house-1", **DAY))["events"]
    assert [(one["event"], one["code"], one["arguments"]) for one in found] == [
        ("clock_step", 3, {"offset_ms": -4500}),
        ("calendar", 22, {"counter": 3, "calendar": "summer"}),
        ("voltage_10min", 13, {"covered_s": 600, "flagged": 0, "min_mv": 229000,
                               "mean_mv": 230000, "max_mv": 231000}),
    ]  # fmt: skip
    for code, names in (
        ("clock_step", ["clock_step"]),
        ("3,voltage_10min", ["clock_step", "voltage_10min"]),
        ("dip", []),
    ):
        page = await world.ask("events", meter="house-1", code=code, **DAY)
        assert [one["event"] for one in page["events"]] == names


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("readings", {}, "meter"),
        ("readings", {"meter": "m", "point": "p"}, "meter"),
        ("readings", {"meter": "m", "limit": "1001"}, "limit"),
        ("readings", {"meter": "m", "limit": "0"}, "limit"),
        ("readings", {"meter": "m", "limit": "1e3"}, "limit"),
        ("readings", {"meter": "m", "after": "1-2"}, "after"),
        ("readings", {"meter": "m", "after": "1-2-x"}, "after"),
        ("readings", {"meter": "m", "after": "9999999999-1-1"}, "after"),
        ("readings", {"meter": "m", "register": "1.8"}, "register"),
        ("readings", {"meter": "m", "from_": "2026-11-02", "to": "2026-11-01"}, "to"),
        ("readings", {"meter": "m", "from_": "2020-11-02", "to": "2026-11-01"}, "to"),
        ("readings", {"meter": "m", "raw": "yes"}, "raw"),
        ("readings", {"meter": "m", "sql": "1"}, "sql"),
        ("events", {"meter": "m", "code": "3; DROP TABLE entry"}, "code"),
        ("events", {"meter": "m", "code": "99999"}, "code"),
    ],
)
async def test_a_wrong_parameter_is_named(world, path, query, field):
    assert (await world.ask(path, 400, **query))["error"]["field"] == field
