"""Measures the delays of one place of the twins, and writes them as JSON.

    measure.py WHERE RESULT [--quick]

WHERE is `edge` (meters over WiFi), `cloud` (meters over NB-IoT) or `peers` (twin to twin, and the
utility's reads). Needs root: it runs again by itself in network, process and mount namespaces of
its own, so that no packet leaves them and nothing is left over, however it ends.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/process"))

import services  # noqa: E402 - after the path
from lane import Lane, LocalApi  # noqa: E402
from link_profile import CLOUDS, NB_IOT, WIFI, ZONE  # noqa: E402
from network import Network, Place, find_program  # noqa: E402
from processes import wait_for  # noqa: E402
from utility_side import UtilitySide  # noqa: E402

INSIDE = "METERTWIN_BENCH_INSIDE"
LINKS = {"edge": WIFI, "cloud": NB_IOT, "peers": None}
# Meters, each with a twin of its own; the peers ask one.
LANES = {"edge": 8, "cloud": 8, "peers": 1}
FEW_LANES = {"edge": 2, "cloud": 6, "peers": 1}
PERIODS_S = {"edge": 1, "cloud": 5, "peers": 1}
PATIENCE_S = 30
"""For the last readings; a retransmission on a slow link takes some seconds."""


class Sizes(NamedTuple):
    """How many of each."""

    delays: int
    services: int
    events: int
    day: int
    """Readings in the answer to a multi-interval read."""


FULL = Sizes(1440, 480, 240, 96)
QUICK = Sizes(200, 16, 8, 24)


def from_meters(lanes: list[Lane], sizes: Sizes, where: str, utility: UtilitySide) -> Any:
    """Return the delays of services that reach the meter.

    Over WiFi the lanes are asked one after the other, because many at once would wait for this
    machine's cores; over NB-IoT all at once, because they wait for their links.
    """
    readings = [services.Readings(lane) for lane in lanes]
    asked: dict[str, tuple[int, Callable[[Lane, int], services.Delays]]] = {
        "forward": (sizes.delays, services.forward),
        "live": (sizes.services, services.read_live),
        "load": (sizes.services, services.limit_load),
    }
    found = {
        name: services.in_lanes(lanes, count, work, at_once=where == "cloud")
        for name, (count, work) in asked.items()
    }
    events = services.Events(utility)
    found["event"] = services.in_lanes(lanes, sizes.events, events.send, at_once=True)
    found["conversation"] = events.conversations
    prices = services.Prices(utility)
    found["price"] = services.in_lanes(lanes, sizes.events, prices.send, at_once=True)
    with ThreadPoolExecutor(len(lanes)) as pool:
        ended = pool.map(lambda one: one.end(PATIENCE_S), readings)
        found["reading"] = [delay for delays in ended for delay in delays]
    return found


def from_peers(lane: Lane, sizes: Sizes, network: Network, utility: Place) -> Any:
    """Return the delays between twins, and of reads that the twin answers by itself."""
    places = {"host": None, "zone": ZONE, "clouds": CLOUDS}
    found = {
        name: services.peer_asks(lane, network.join(f"peer-{name}", profile), sizes.delays)
        for name, profile in places.items()
    }
    api = LocalApi(lane)
    wait_for(lambda: len(api.list_readings()) >= sizes.day, "a day of readings", 300, 1)
    paths = {"cached": "/v1/registers", "day": f"/v1/readings?limit={sizes.day}"}
    for name, path in paths.items():
        found[name] = services.peer_reads(lane, utility, path, sizes.delays)
    return found


def measure(where: str, sizes: Sizes, count: int, folder: Path) -> dict[str, Any]:
    """Return all delays of one place, in seconds, and how they were taken."""
    network = Network()
    utility_place = network.join("utility", CLOUDS)
    utility = UtilitySide(utility_place, folder / "utility")
    lanes: list[Lane] = []
    begun = time.monotonic()
    try:
        for number in range(count):
            place = network.join(f"meter-{number}", LINKS[where])
            lanes.append(Lane(folder / f"lane-{number}", number, place, utility, PERIODS_S[where]))
        with ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(Lane.begin, lanes))
        if where == "peers":
            found = from_peers(lanes[0], sizes, network, utility_place)
        else:
            found = from_meters(lanes, sizes, where, utility)
    finally:
        for lane in lanes:
            lane.close()
        utility.close()
        network.close()
    seconds = round(time.monotonic() - begun)
    has = {"netem": network.has_netem, "lanes": len(lanes), "period_s": PERIODS_S[where]}
    return {**has, "day": sizes.day, "seconds": seconds, "delays_s": found}


def enclose() -> NoReturn:
    """Run this program again in namespaces of its own, which end with it.

    Raises:
        PermissionError: only root may make them.
    """
    if os.geteuid():
        raise PermissionError("network namespaces need root")
    script = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && exec "$@"'
    command = [find_program("setpriv"), "--pdeathsig", "KILL"]
    command += ["unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork"]
    command += ["--kill-child", "sh", "-c", script, "sh", sys.executable, *sys.argv]
    os.execve(command[0], command, os.environ | {INSIDE: "1"})


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("where", choices=LINKS)
    parser.add_argument("result", type=Path)
    parser.add_argument("--quick", action="store_true", help="few of each, as in CI")
    options = parser.parse_args()
    if INSIDE not in os.environ:
        enclose()
    sizes, lanes = (QUICK, FEW_LANES) if options.quick else (FULL, LANES)
    with tempfile.TemporaryDirectory() as folder:
        document = measure(options.where, sizes, lanes[options.where], Path(folder))
    options.result.write_text(json.dumps(document))


if __name__ == "__main__":
    main()
