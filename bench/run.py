"""`make bench`: measure, print a table, write results.json. A benchmark, never a test.

Each group of figures is a module; a group that fails says why and does not stop the others, and
what is missing is named in the result. Everything but the reads happens in a namespace of its own.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import archiving
import boards
import cluster
import fleet
import handover
import image
import latency
import memory
import paper
import rollout
import scale
import start
import startup
import upgrade
import utility
from figure import Figure, describe_machine, table

RESULTS = Path(__file__).parent / "results.json"
ALONE = {
    "image": image.measure,
    "boards": boards.measure,
    "start": start.measure,
    "startup": startup.measure,
    "utility": utility.measure,
    "latency": latency.measure,
}
"""Groups that need no installation of the measurement's own, or make one themselves."""
GROUPS = (*ALONE, "paper", "archive", "twins", "fleet", "rollout", "handover", "upgrade", "scale")


class Report:
    """Figures so far, and what could not be measured."""

    def __init__(self) -> None:
        """Begin empty."""
        self.figures: list[Figure] = []
        self.groups: dict[str, dict[str, object]] = {}
        self.missing: dict[str, str] = {}
        self.expected: set[str] = set()

    def measure(self, group: str, work: Callable[[], list[Figure]]) -> None:
        """Run one group; keep its figures, or the reason why there are none."""
        begun = time.monotonic()
        print(f"==> {group}", flush=True)
        state = describe_machine()
        try:
            found = work()
        except Exception as error:  # noqa: BLE001 - one group's fault is not the others'
            self.missing[group] = f"{type(error).__name__}: {error}"
            print(f"    not measured: {self.missing[group]}", flush=True)
            return
        self.figures += found
        self.groups[group] = state | {"figures": [one.document() for one in found]}
        for one in found:
            print(f"    {one.name}: {one.value:.4g} {one.unit}", flush=True)
        print(f"    ({time.monotonic() - begun:.0f} s)", flush=True)


def with_twins(report: Report, count: int, wanted: set[str], runs: int) -> None:
    """Everything that needs a hundred running twins."""
    template: list[dict[str, Any]] = []
    times: list[float] = []

    def begin() -> list[Figure]:
        before = memory.settled()
        times.append(rollout.meters(count))
        found = start.in_pods()
        template.append(cluster.pods("metertwin.io/role%3Dtwin")[0])
        marginal = memory.marginal(before, memory.settled(), count, "settled, no meter has spoken")
        return [*marginal, *found]

    report.measure("twins", begin)
    report.measure("twins at rest", lambda: memory.of_processes("no meter has spoken"))
    if "fleet" in wanted:
        report.measure("fleet", lambda: with_meters(report, count))
        report.measure("twins after work", lambda: memory.of_processes("after the readings"))
    cluster.remove_meters()
    if "rollout" in wanted and template:
        report.measure("rollout", lambda: rollouts(template[0], count, times, runs))


def with_meters(report: Report, count: int) -> list[Figure]:
    """Return what simulated meters measure."""
    with fleet.running(rollout.devices(count)) as meters:
        said = meters.hear()
        print(f"    {said}", flush=True)
        if said["stored"] < count:
            raise RuntimeError(f"{said['stored']} of {count} meters spoke to their twins")
        found = fleet.ingest(meters, count, 24)
        report.measure("reconnect", lambda: fleet.reconnect(meters, count))
    return found


def rollouts(template: dict[str, Any], count: int, times: list[float], runs: int) -> list[Figure]:
    """Return rollouts of twins (the first one is known) and of bare pods, in alternating order."""
    rollout.settle()
    without = [rollout.bare(template, count)]
    for run in range(1, runs):
        rollout.settle()
        times.append(rollout.meters(count, run))
        cluster.remove_meters()
        rollout.settle()
        without.append(rollout.bare(template, count))
    return rollout.figures(count, times, without)


def expected(wanted: set[str], *, scale: bool) -> set[str]:
    """Return the groups of results.json that these options measure."""
    found = set(wanted) if scale else wanted - {"scale"}
    if wanted & {"twins", "fleet", "rollout"}:
        found |= {"twins", "twins at rest"}
    return found | ({"reconnect", "twins after work"} if "fleet" in wanted else set())


def write(report: Report, path: Path) -> None:
    """Write results.json: each group with its machine, the date and the load at its beginning.

    Groups that were not measured this time stay as they were, with their own machine and date.
    """
    old: dict[str, dict[str, object]] = {}
    if path.exists():
        old = json.loads(path.read_text())["groups"]
    for name in report.expected - report.groups.keys():  # an older figure would pass for this one
        old.pop(name, None)
        report.missing.setdefault(name, "not reached, because another group failed")
    document = {"groups": old | report.groups, "not_measured": report.missing}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def arguments() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--twins", type=int, default=100, help="SmartMeters that run")
    parser.add_argument("--scale", type=int, default=2000, help="those that do not; 0: none")
    parser.add_argument("--runs", type=int, default=5, help="rollouts of each kind")
    parser.add_argument(
        "--quick", action="store_true", help="few samples in the groups paper and archive"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def without_cluster(report: Report, wanted: set[str], options: argparse.Namespace) -> None:
    """Groups that start everything themselves on this machine."""
    if "paper" in wanted:
        folder = options.results.parent
        report.measure("paper", lambda: paper.measure(folder, quick=options.quick))
        report.groups.get("paper", {})["not_measured"] = paper.ABSENT
    if "archive" in wanted:
        report.measure("archive", lambda: archiving.measure(quick=options.quick))


def main() -> int:
    """Return 0 when everything asked for was measured; goals do not matter."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # clean up then, too
    options = arguments()
    wanted, report = set(options.only), Report()
    report.expected = expected(wanted, scale=bool(options.scale))
    try:
        for group, work in ALONE.items():
            if group in wanted:
                report.measure(group, work)
        without_cluster(report, wanted, options)
        if wanted & {"twins", "fleet", "rollout", "handover", "upgrade", "scale"}:
            with cluster.installation():
                if wanted & {"twins", "fleet", "rollout"}:
                    with_twins(report, options.twins, wanted, options.runs)
                if "handover" in wanted:
                    report.measure("handover", handover.measure)
                if "upgrade" in wanted:
                    report.measure("upgrade", lambda: upgrade.measure(options.twins))
                if "scale" in wanted and options.scale:
                    report.measure("scale", lambda: scale.measure(options.scale))
    finally:
        write(report, options.results)
        print("\n" + table(report.figures))
        for group, reason in report.missing.items():
            print(f"not measured: {group}: {reason}")
    return 1 if report.missing else 0


if __name__ == "__main__":
    sys.exit(main())
