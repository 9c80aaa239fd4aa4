"""The measurement itself, as small as in CI: it gives all figures, and leaves nothing behind.

How long anything takes is no question here: that is what `make bench -- paper` says.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from processes import wait_for

ROOT = pathlib.Path(__file__).parents[2]
SAMPLES = 200
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make network namespaces"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the folder with the results of one small run."""
    found: pathlib.Path = tmp_path_factory.mktemp("results")
    command = [sys.executable, str(ROOT / "bench/run.py"), "--only", "paper", "--quick"]
    command += ["--results", str(found / "results.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return found


@pytest.fixture(scope="module")
def group(folder: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())["groups"]["paper"]
    return found


@pytest.mark.parametrize("name", ["t1", "t1'", "t5", "t5'", "t5''"])
def test_each_delay_of_the_paper_is_measured(group: dict[str, Any], name: str) -> None:
    figures = [one for one in group["figures"] if one["name"].startswith(f"{name}, ")]
    median, late = sorted(figures, key=lambda one: one["name"])
    assert late["name"] == f"{median['name']}, p99"
    lost = int(median["method"].split(" round trips, ")[1].split()[0])
    assert median["spread"]["samples"] + lost == SAMPLES
    assert "compressed" in median["method"]
    assert "the paper: " in median["method"]


@pytest.mark.parametrize(
    "service",
    [
        *("AMI, edge", "AMI, cloud", "on-demand reading, edge", "on-demand reading, cloud"),
        *("on-demand reading, cached", "multi-interval reading, from the twin"),
        *("demand response, edge", "demand response, cloud", "G2V, edge", "G2V, cloud"),
        *("V2G, edge", "V2G, cloud"),
    ],
)
def test_each_service_has_a_delay_and_a_reliability(group: dict[str, Any], service: str) -> None:
    names = [one["name"] for one in group["figures"]]
    assert f"Table II, {service}, delay" in names
    (share,) = [
        one
        for one in group["figures"]
        if one["name"].startswith(f"Table II, {service}, within") and one["goal"]
    ]
    assert 0 < share["value"] <= 100
    assert share["met"] in (True, False)


def test_what_is_not_there_is_named(group: dict[str, Any]) -> None:
    assert "pricing" in group["not_measured"]
    assert not [one for one in group["figures"] if "pricing" in one["name"]]


def test_both_scenarios_have_a_picture(folder: pathlib.Path) -> None:
    for number, count in ((1, 2), (3, 3)):
        picture = ET.parse(folder / f"paper_scenario_{number}.svg").getroot()
        lines = list(picture.iter("{http://www.w3.org/2000/svg}polyline"))
        assert len(lines) == count
        assert (folder / f"paper_scenario_{number}.svg").stat().st_size < 20_000


def find_inhabitants(network: str) -> list[str]:
    """Return the processes of a network namespace."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if str((folder / "ns/net").readlink()) == network:
                found.append(folder.name)
        except OSError:
            continue
    return found


def find_own_network(pid: str) -> str:
    return str(pathlib.Path(f"/proc/{pid}/ns/net").readlink())


def test_a_measurement_that_is_killed_leaves_no_process_and_no_namespace(
    tmp_path: pathlib.Path,
) -> None:
    program = ROOT / "bench/reference_paper/measure.py"
    command = [sys.executable, str(program), "peers", str(tmp_path / "result.json")]
    with subprocess.Popen(command, env=os.environ | {"TMPDIR": str(tmp_path)}) as process:

        def find_network() -> str:
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            network = find_own_network(children.split()[0]) if children else ""
            return network if network != find_own_network("self") else ""

        network = wait_for(find_network, "it has a network of its own")
        wait_for(lambda: len(find_inhabitants(network)) > 3, "broker, twin and more run in it")
        process.kill()
        process.wait()
        try:  # by itself it would end after minutes
            wait_for(lambda: not find_inhabitants(network), "all of them have ended", 30)
        finally:
            for left in find_inhabitants(network):
                os.kill(int(left), signal.SIGKILL)
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert "meter-0" not in names.stdout
