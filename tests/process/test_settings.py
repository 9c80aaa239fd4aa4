"""What the resource says of capture period and report spread holds in the real firmware."""

import itertools
from typing import Any

import pytest
from harness import World
from oracle import Identity
from processes import wait_for
from small_world import both_builds, both_builds_at_night

pytestmark = pytest.mark.timeout(600)
CONFIGURATION_EVENT = "configuration"


def readings(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.ask("GET", "/v1/readings")[1]["readings"]
    return found


def times(world: World) -> list[int]:
    """Return the seconds within the minute of all readings with a time."""
    return [int(one["time"][17:19]) for one in readings(world) if one["time"]]


def wait_readings(world: World, count: int) -> None:
    wait_for(lambda: len(times(world)) >= count, f"{count} readings", period_s=1)


def settings_of(world: World) -> dict[str, Any]:
    """Return `settings` of the status, empty while the twin does not serve yet."""
    try:
        found: dict[str, Any] = world.ask("GET", "/v1/status")[1]["settings"]
    except OSError:
        return {}
    return found


def confirmed(world: World) -> bool:
    settings = settings_of(world)
    return bool(settings) and settings["confirmed"] == settings["wanted"]


def changes(world: World) -> int:
    events = world.ask("GET", "/v1/events")[1]["events"]
    return [event["code"] for event in events].count(CONFIGURATION_EVENT)


@both_builds_at_night
def test_the_meter_takes_readings_at_the_period_of_the_resource_and_keeps_it(world: World) -> None:
    world.twin_settings = {"capturePeriodSeconds": 5, "reportSpreadSeconds": 1}
    world.start(capture_period_s=60)
    wait_for(lambda: confirmed(world), "the meter confirms both", period_s=0.5)
    begun = len(times(world))
    wait_readings(world, begun + 4)
    assert {second % 5 for second in times(world)[begun:]} == {0}
    assert changes(world) == 2

    world.firmware.kill()
    before = len(times(world))
    world.twin.kill()  # so that the restarted meter has only what it keeps itself
    world.firmware.start()

    def appended() -> set[Identity]:
        return {identity for identity, (kind, _) in world.oracle().items() if kind == 1}

    known = appended()
    wait_for(lambda: len(appended() - known) >= 3, "three readings without a twin", period_s=0.5)
    world.twin.start()
    world.wait_stored()
    wait_for(lambda: confirmed(world), "confirmed again", period_s=0.5)
    wait_readings(world, before + 4)
    assert {second % 5 for second in times(world)[before:]} == {0}
    assert changes(world) == 2, "the same value again is no change"


@both_builds
def test_a_meter_that_refuses_a_period_is_shown_and_goes_on(world: World) -> None:
    world.twin_settings = {"capturePeriodSeconds": 7}
    world.start()
    expected = {"capturePeriodSeconds": None, "reportSpreadSeconds": 0}
    # Two commands: the refusal of one may be known before the answer to the other.
    wait_for(lambda: settings_of(world).get("refused") == 1, "refused", period_s=0.5)
    wait_for(lambda: settings_of(world).get("confirmed") == expected, "the other", period_s=0.5)
    settings = settings_of(world)
    assert settings["wanted"]["capturePeriodSeconds"] == 7
    assert (settings["refused"], settings["confirmed"]) == (1, expected)
    count = len(readings(world))
    wait_for(lambda: len(readings(world)) >= count + 3, "readings go on", period_s=0.5)
    world.wait_stored()
    seqs = [one["seq"] for one in readings(world)]
    assert all(first < second for first, second in itertools.pairwise(seqs))
