"""A load that the twin's API limits: the real firmware takes it off and lets it on again by itself."""

from datetime import datetime
from typing import Any

import pytest
from harness import World
from processes import wait_for

pytestmark = pytest.mark.timeout(600)
IMPORT_POWER = "1-0:1.7.0*255"
ALL_W, OTHERS_W = 230, 161
LIMIT_S = 5
COMMAND, EXPIRED = 0, 1


def powers(world: World) -> list[int]:
    """Return the power in each stored reading, one a second."""
    readings = world.ask("GET", "/v1/readings")[1]["readings"]
    return [int(one["registers"][IMPORT_POWER]["value"]) for one in readings]


def moves(world: World) -> list[dict[str, Any]]:
    """Return the stored events of a load's contactor."""
    events = world.ask("GET", "/v1/events")[1]["events"]
    return [one for one in events if one["code"] == "relay_load"]


def test_a_load_that_is_limited_to_nothing_comes_back_by_itself(world: World) -> None:
    world.start(loads=[{"share_permille": 300, "release_s": 0}])
    world.wait_stored(4)
    body = {"load": 0, "limit_w": 0, "seconds": LIMIT_S}
    assert world.ask("POST", "/v1/load", body) == (200, {"code": "ok"})
    wait_for(lambda: OTHERS_W in powers(world), "the power falls", period_s=0.5)
    wait_for(lambda: powers(world)[-1] == ALL_W, "the power comes back", period_s=0.5)
    wait_for(lambda: len(moves(world)) > 1, "both moves are stored")
    opened, released = moves(world)
    assert list(opened["arguments"].values()) == [0, 0, COMMAND]
    assert list(released["arguments"].values()) == [0, 1, EXPIRED]
    begin, end = (datetime.fromisoformat(one["time"]) for one in (opened, released))
    assert (end - begin).total_seconds() >= LIMIT_S - 1, "the times are whole seconds"
    world.check()
