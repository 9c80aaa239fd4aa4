"""When the street runs what was built: rules of what is still to do, tried without a cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).resolve().parents[1]
ASK = (
    "import json, sys, settling;"
    "print(json.dumps(getattr(settling, sys.argv[1])(*json.load(sys.stdin))))"
)


def ask(rule: str, *arguments: object) -> list[str]:
    """Ask one rule."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, rule],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(DEMO), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    found: list[str] = json.loads(done.stdout)
    return found


def pod(device: str, image: str = "twin:new", **status: object) -> dict[str, Any]:
    """Return the pod of a device with the status of its container."""
    return {
        "metadata": {"name": f"meter-{device}", "labels": {"metertwin.io/device": device}},
        "spec": {"containers": [{"image": image}]},
        "status": {"containerStatuses": [status]} if status else {},
    }


@pytest.mark.parametrize(
    ("image", "keep", "older"),
    [
        pytest.param("twin:new", [], [], id="a twin of the built image stays"),
        pytest.param("twin:old", [], ["meter-house-1"], id="a twin of another image is replaced"),
        pytest.param("twin:old", ["house-1"], [], id="a twin whose version was chosen stays"),
    ],
)
def test_a_twin_is_replaced_when_its_image_is_not_the_built_one(
    image: str, keep: list[str], older: list[str]
) -> None:
    assert ask("find_older", [pod("house-1", image)], "twin:new", keep) == older


@pytest.mark.parametrize(
    ("status", "flashed", "done"),
    [
        pytest.param({"containerID": "c1"}, {"meter-house-1": "c1"}, False, id="still the old one"),
        pytest.param({"containerID": "c2"}, {"meter-house-1": "c1"}, True, id="another one"),
        pytest.param({}, {"meter-house-1": ""}, False, id="none before, none now"),
        pytest.param({"containerID": "c1"}, {"meter-house-1": ""}, True, id="the first one"),
        pytest.param({"containerID": "c1"}, {}, True, id="not flashed at all"),
    ],
)
def test_a_meter_is_flashed_when_another_container_has_started(
    status: dict[str, str], flashed: dict[str, str], *, done: bool
) -> None:
    assert (ask("find_unflashed", [pod("house-1", **status)], flashed) == []) is done


def test_a_meter_that_cannot_start_is_named_with_the_reason() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    found = ask("find_unready", [pod("house-1", ready=False, state=waiting)], "meter")
    assert found[0] == "the meter of house-1 is not Ready (ImagePullBackOff)"
    assert found[1] == "the meter of house-2 is not Ready"


def test_a_meter_whose_container_runs_is_ready() -> None:
    assert not any(
        "house-1 " in line for line in ask("find_unready", [pod("house-1", ready=True)], "meter")
    )


@pytest.mark.cluster
def test_a_twin_that_went_meanwhile_is_no_failure_to_delete() -> None:
    arguments = ask("deletion", "default", ["went-meanwhile"])
    subprocess.run(["kubectl", *arguments], check=True, timeout=60)
