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


SERVICES = (
    *("AMI, edge", "AMI, cloud", "on-demand reading, edge", "on-demand reading, cloud"),
    *("on-demand reading, cached", "multi-interval reading, from the twin"),
    *("demand response, edge", "demand response, cloud", "G2V, edge", "G2V, cloud"),
    *("V2G, edge", "V2G, cloud", "pricing, edge", "pricing, cloud"),
)


def test_a_small_run_gives_each_delay_each_service_and_both_pictures(
    tmp_path: pathlib.Path,
) -> None:
    """One test of all, because the workers that share the tests would each run it."""
    command = [sys.executable, str(ROOT / "bench/run.py"), "--only", "paper", "--quick"]
    command += ["--results", str(tmp_path / "results.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    group = json.loads((tmp_path / "results.json").read_text())["groups"]["paper"]
    figures = {one["name"]: one for one in group["figures"]}
    for name in ("t1", "t1'", "t5", "t5'", "t5''"):
        check_delay(figures, name)
    for service in SERVICES:
        check_service(figures, service)
    assert "100 negotiation iterations" in group["not_measured"]  # named, and not made up
    assert not [name for name in figures if "negotiation" in name]
    for number, count in ((1, 2), (3, 3)):
        picture = tmp_path / f"paper_scenario_{number}.svg"
        lines = list(ET.parse(picture).getroot().iter("{http://www.w3.org/2000/svg}polyline"))
        assert len(lines) == count
        assert picture.stat().st_size < 20_000


def check_delay(figures: dict[str, Any], name: str) -> None:
    """A delay of the paper has a median of all round trips, and a 99th percentile."""
    median, late = sorted(one for one in figures if one.startswith(f"{name}, "))
    assert late == f"{median}, p99"
    method = figures[median]["method"]
    lost = int(method.split(" round trips, ")[1].split()[0])
    assert figures[median]["spread"]["samples"] + lost == SAMPLES
    assert "compressed" in method
    assert "the paper: " in method


def check_service(figures: dict[str, Any], service: str) -> None:
    """A service has a delay, and one share of messages with a goal."""
    assert f"Table II, {service}, delay" in figures
    begin = f"Table II, {service}, within"
    (share,) = [one for name, one in figures.items() if name.startswith(begin) and one["goal"]]
    assert 0 < share["value"] <= 100
    assert share["met"] in (True, False)


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
