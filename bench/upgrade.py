"""A whole fleet gets another version of the twin, ten meters at a time, while each meter reads.

What `kubectl meter upgrade --profile … --to next` begins. Neighbours: `handover` (single twins, in
detail), `fleet` (the simulated meters), `cluster`.
"""

import json
import threading
import time
from typing import Any

import cluster
import fleet
import rollout
from figure import Figure, figure, percentile
from handover import COUNT, PERIOD_S, Seen, in_pod

MAX_CONCURRENT, SOAK_S, DONE_S = 10, 5, 1800
READ_S = 20
PROFILE = "bench-upgrade"


def declare(count: int) -> list[str]:
    """Create the profile and its meters with a reading a second; return the devices, all Ready."""
    profile = cluster.twin_profile(PROFILE)
    profile["spec"]["rollout"] = {
        "soakSeconds": SOAK_S,
        "maxConcurrent": MAX_CONCURRENT,
        "canary": 0,
    }
    cluster.kubectl("apply", "-f", "-", text=json.dumps(profile))
    devices = rollout.devices(count)
    bodies = [cluster.smart_meter(device, PROFILE) for device in devices]
    for body in bodies:
        body["spec"]["capturePeriodSeconds"] = 1
    cluster.create(bodies)
    cluster.watch_until(f"{cluster.API}/smartmeters", "Ready", count, DONE_S)
    return devices


def is_done(generation: int, count: int) -> bool:
    """Whether the profile's status says that all its meters have what this generation says."""
    status = cluster.get(f"{cluster.API}/twinprofiles/{PROFILE}").get("status", {})
    if status.get("observedGeneration", 0) < generation:
        return False
    return bool(status["wave"] == "Done" and status["meters"]["updated"] == count)


class Reading:
    """Lets all meters take a reading a second until it is stopped; keeps what each one waited."""

    def __init__(self, meters: fleet.Meters) -> None:
        """Begin."""
        self.delays_ms: list[float] = []
        self.said: dict[str, Any] = {}
        self._meters = meters
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.said = self._meters.tell(f"steady {READ_S}")
            self.delays_ms += self.said["delays_ms"]

    def end(self) -> None:
        """Stop after the reading that is under way is stored."""
        self._stop.set()
        self._thread.join(READ_S + 120)


def roll(devices: list[str], seen: Seen, meters: fleet.Meters) -> list[Figure]:
    """Give the profile the version `next`; return the figures of the rollout."""
    before = percentile(meters.tell(f"steady {READ_S}")["delays_ms"], 0.99)
    reading = Reading(meters)
    for device in devices:
        seen.begin(device)
    begun = time.monotonic()
    patch = json.dumps({"spec": {"twin": {"version": "next"}}})
    cluster.kubectl("patch", "twinprofile", PROFILE, "--type=merge", "-p", patch)
    generation = cluster.get(f"{cluster.API}/twinprofiles/{PROFILE}")["metadata"]["generation"]
    at_once = [0]

    def done() -> bool:
        at_once.append(sum("handover" in status for status in list(seen.status.values())))
        return is_done(generation, len(devices))

    cluster.wait_until(done, "the profile is rolled out", DONE_S, 0.5)
    took = time.monotonic() - begun
    reading.end()
    rows = [seen.moments[device] for device in devices]
    counts = {
        device: [int(one) for one in in_pod(seen.status[device]["twin"]["pod"], COUNT).split()]
        for device in devices
    }
    lost = sum(abs(reading.said["heads"][device] - counts[device][0]) for device in devices)
    during = percentile(reading.delays_ms, 0.99)
    odd = sum(count[1] + count[2] for count in counts.values())
    how = (
        f"{len(devices)} meters of one TwinProfile, maxConcurrent {MAX_CONCURRENT}, soakSeconds "
        f"{SOAK_S}, a reading a second of each simulated meter"
    )
    return [
        figure(f"{len(devices)} meters upgraded", took, "s",
               f"patch of the profile until its status says Done; {how}"),
        figure("handovers at once, most seen", float(max(at_once)), "meters",
               f"`status.handover` by the watch, looked at twice a second; {how}",
               ("<=", MAX_CONCURRENT)),
        figure("one meter's handover within it, Preparing until committed",
               [row["Committed"] - row["Preparing"] for row in rows], "s", how),
        figure("one meter frozen within it", [row["Committed"] - row["Frozen"] for row in rows],
               "s", f"by the watch of the status; {how}"),
        figure("a reading waits before the upgrade, p99", before, "ms",
               f"capture to acknowledgement, {READ_S} s, same meters, nothing else under way"),
        figure("a reading waits during the upgrade, p99", during, "ms",
               f"capture to acknowledgement, {len(reading.delays_ms)} readings; every {READ_S} s "
               f"the meters wait for the slowest, so rather too low; {how}"),
        figure("the upgrade adds to a reading's wait, p99", during - before, "ms",
               "the p99 during it less the one before it", ("<=", PERIOD_S * 1000)),
        figure("readings lost or twice by the upgrade", float(lost + reading.said["unstored"]),
               "readings", "entries in the new twins' stores against the meters' own count",
               ("<=", 0)),
        figure("readings in conflict or holes after the upgrade", float(odd), "rows",
               "rows of quarantine and holes in the new twins' stores", ("<=", 0)),
    ]  # fmt: skip


def measure(count: int) -> list[Figure]:
    """Return the figures; needs the image of the version `next`, which `make demo` brings.

    Raises:
        RuntimeError: meters did not come up.
    """
    devices = declare(count)
    seen = Seen()
    try:
        with fleet.running(devices) as meters:
            said = meters.hear()
            if said["stored"] < count:
                raise RuntimeError(f"{said['stored']} of {count} meters spoke to their twins")
            return roll(devices, seen, meters)
    finally:
        seen.close()
        cluster.remove_meters()
