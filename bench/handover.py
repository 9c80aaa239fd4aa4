"""How a twin is replaced: phases, what a reading waits meanwhile, ten days of store, takeover.

The twins are of the version `next` and back, in the namespace of the measurement; their meters are
simulated (`meters.py`) and take a reading a second. Phases are seen in the status as the watch
brings it, and in the new twin's log. Neighbours: `fleet` (the meters), `cluster`.
"""

import contextlib
import json
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import cluster
import fleet
from figure import MIB, Figure, figure, percentile

METERS, PERIOD_S, BETWEEN_S = 10, 1.0, 3.0
TEN_DAYS = 14_400
STORE_METER = "bench-days"
DEVICES = [f"bench-{number:04d}" for number in range(1, METERS + 1)]
SOAK_S, DONE_S, TAKEOVERS = 5, 300, 5
PROFILE = "bench-handover"
COUNT = (
    "import sqlite3; c = sqlite3.connect('file:/var/lib/metertwin/twin.db?mode=ro', uri=True);"
    "print(c.execute('SELECT count(*) FROM entry').fetchone()[0],"
    " c.execute('SELECT count(*) FROM conflict').fetchone()[0],"
    " c.execute('SELECT count(*) FROM hole').fetchone()[0])"
)
PEAK = (
    "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080);"
    " c.request('GET', '/metrics');"
    " print([l.split()[1] for l in c.getresponse().read().decode().splitlines()"
    " if 'memory_peak_bytes' in l and l[0] != '#'][0])"
)


class Seen:
    """When each meter's status came into each phase, by the machine's clock."""

    def __init__(self) -> None:
        """Watch from now on."""
        self.moments: dict[str, dict[str, float]] = {}
        self.status: dict[str, dict[str, Any]] = {}
        command = ["kubectl", "get", "--raw", f"{cluster.API}/smartmeters?watch=1"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=cluster.ENVIRONMENT
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            body = json.loads(line)["object"]
            name, status = body["metadata"]["name"], body.get("status", {})
            self.status[name] = status
            moments = self.moments.get(name)
            if moments is None:
                continue
            handover = status.get("handover")
            if handover:
                moments.setdefault(handover["phase"], time.time())
            elif "Committed" in moments:
                moments.setdefault("Done", time.time())

    def begin(self, name: str) -> None:
        """Forget what was seen of a meter; it is asked for another twin now."""
        self.moments[name] = {"asked": time.time()}

    def wait(self, name: str, phase: str) -> None:
        """Wait until a phase was seen.

        Raises:
            TimeoutError: it never was.
        """
        cluster.wait_until(lambda: phase in self.moments[name], f"{name}: {phase}", DONE_S, 0.05)

    def close(self) -> None:
        """End the watch."""
        self._process.terminate()
        self._process.wait(10)


def log_times(pod: str) -> dict[str, float]:
    """Return what a twin's log says and when it said so first."""
    found: dict[str, float] = {}
    for line in cluster.kubectl("logs", pod).splitlines():
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            what = f"{row['what']} {row.get('state', '')}".strip()
            found.setdefault(what, datetime.fromisoformat(row["time"]).timestamp())
    return found


def ask(name: str, version: str) -> None:
    """Ask for a version of the twin; empty for the installation's own."""
    patch = json.dumps({"spec": {"twin": {"version": version}}})
    cluster.kubectl("patch", "smartmeter", name, "--type=merge", "-p", patch)


def in_pod(pod: str, code: str) -> str:
    """Return what a line of Python says in a twin's pod."""
    return cluster.kubectl("exec", pod, "--", "python3", "-c", code).strip()


def meter(name: str) -> dict[str, Any]:
    """Return a SmartMeter that takes a reading a second."""
    body = cluster.smart_meter(name, PROFILE)
    body["spec"]["capturePeriodSeconds"] = int(PERIOD_S)
    return body


def phases(seen: Seen, name: str) -> dict[str, float]:
    """Return the seconds of each part of a handover that is done."""
    at, said = seen.moments[name], log_times(seen.status[name]["twin"]["pod"])
    committed = at["Committed"]
    hello = said["meter said hello"]
    covered = said["older twin covered active"]
    return {
        "asked until committed": committed - at["asked"],
        "flow 2, new twin's pod serves": said["twin serves"] - at["asked"],
        "flow 2, it has its control record": said["control record candidate"] - said["twin serves"],
        "flows 3 to 5, everything is taken": covered - said["control record candidate"],
        "flows 6 and 7, the meter's hello": hello - said["control record candidate"],
        "flow 8, hello until frozen": max(0.0, at["Frozen"] - max(hello, covered)),
        "flow 9 and commit, frozen": committed - at["Frozen"],
        "flow 10, the new twin acts": max(0.0, said["control record active"] - committed),
        "flow 11, the old twin's last entry": said["older twin covered retired"] - committed,
        "flow 12, soak and removal": at["Done"] - committed,
    }


def replace_all(seen: Seen, meters: fleet.Meters) -> list[Figure]:
    """Replace every twin, one begun every few seconds, while each meter reads once a second."""
    seconds = METERS * BETWEEN_S + 60
    before = meters.tell("steady 20")
    meters.send(f"steady {seconds}")
    for name in DEVICES:
        seen.begin(name)
        ask(name, "next")
        time.sleep(BETWEEN_S)
    for name in DEVICES:
        seen.wait(name, "Done")
    rows = [phases(seen, name) for name in DEVICES]
    said = meters.hear()
    counts = [
        [int(one) for one in in_pod(seen.status[name]["twin"]["pod"], COUNT).split()]
        for name in DEVICES
    ]
    lost = sum(
        abs(said["heads"][name] - count[0]) for name, count in zip(DEVICES, counts, strict=True)
    )
    how = f"{METERS} handovers to the version next, one begun every {BETWEEN_S:.0f} s"
    found = [
        figure(f"handover, {part}", [row[part] for row in rows], "s",
               f"{how}; phases by the watch of the status, the rest by the new twin's log; flows "
               "3 to 7 since the control record, 8 since both were done, 10 to 12 since commit; "
               f"soakSeconds {SOAK_S}")
        for part in rows[0]
    ]  # fmt: skip
    delays = said["delays_ms"]
    text = f"from capture to acknowledgement, a reading a second of each of {METERS} meters"
    return [
        *found,
        figure("a reading waits without a handover, p99", percentile(before["delays_ms"], 0.99),
               "ms", text),
        figure("a reading waits during handovers, p99", percentile(delays, 0.99), "ms",
               f"{text}, {len(delays)} readings, {how}", ("<=", PERIOD_S * 1000)),
        figure("a reading waits during handovers, longest", max(delays), "ms", f"{text}, {how}"),
        figure("readings lost or twice by handovers", float(lost + said["unstored"]), "readings",
               "entries in the new twins' stores against the meters' own count", ("<=", 0)),
        figure("readings in conflict or holes after handovers",
               float(sum(count[1] + count[2] for count in counts)), "rows",
               "rows of quarantine and holes in the new twins' stores", ("<=", 0)),
    ]  # fmt: skip


def received_bytes(pod: dict[str, Any]) -> int:
    """Return what has come into a pod's network so far, 0 when its node is not this machine."""
    for pid in cluster.processes(pod["metadata"]["uid"], "meter_twin"):
        for line in Path(f"/proc/{pid}/net/dev").read_text().splitlines():
            if line.strip().startswith("eth0:"):
                return int(line.split(":")[1].split()[0])
    return 0


def find_pod(name: str) -> dict[str, Any]:
    """Return a pod of the namespace."""
    return cluster.get(f"{cluster.CORE}/pods/{name}")


def ten_days(seen: Seen, meters: fleet.Meters) -> list[Figure]:
    """Replace the twin of a meter with ten days of one-minute readings."""
    said = meters.tell(f"fill {STORE_METER} {TEN_DAYS}")
    if said["unstored"]:
        raise RuntimeError(f"{said['unstored']} readings of the ten days were not stored")
    old = seen.status[STORE_METER]["twin"]["pod"]
    seen.begin(STORE_METER)
    ask(STORE_METER, "next")
    seen.wait(STORE_METER, "Committed")
    new = f"{STORE_METER}-e{seen.status[STORE_METER]['epoch']}"
    came = received_bytes(find_pod(new))
    peaks = [float(in_pod(pod, PEAK)) / MIB for pod in (old, new)]
    said_new = log_times(new)
    took = said_new["older twin covered active"] - said_new["control record candidate"]
    at = seen.moments[STORE_METER]
    how = f"{said['head']} readings of 18 registers, one a minute"
    found = [
        figure("ten days of readings are taken over", took, "s",
               f"first control record until everything is covered, {how}"),
        figure("handover with ten days of readings, asked until committed",
               at["Committed"] - at["asked"], "s", how),
        figure("memory peak of the old twin, ten days", peaks[0], "MiB", f"ru_maxrss, {how}"),
        figure("memory peak of the new twin, ten days", peaks[1], "MiB", f"ru_maxrss, {how}"),
    ]  # fmt: skip
    if came:
        text = f"received by the new twin's pod until the commit, all protocols, {how}"
        found.append(figure("bytes of ten days of readings", came / 1e6, "MB", text))
    seen.wait(STORE_METER, "Done")
    return found


def takeovers(seen: Seen) -> list[Figure]:
    """Delete a twin with its store; return the seconds until the next one serves the meter."""
    times = []
    for name in DEVICES[:TAKEOVERS]:
        epoch = seen.status[name]["epoch"]
        begun = time.monotonic()
        cluster.kubectl("delete", "pod", seen.status[name]["twin"]["pod"], "--grace-period=0",
                        "--force")  # fmt: skip

        def serves(name: str = name, epoch: int = epoch) -> bool:
            status = seen.status[name]
            return status["epoch"] > epoch and all(
                cluster.has_condition({"status": status}, one)
                for one in ("Ready", "MeterConnected")
            )

        cluster.wait_until(serves, f"{name} is taken over", DONE_S, 0.05)
        times.append(time.monotonic() - begun)
    how = "pod deleted with grace period 0 until Ready and MeterConnected, one after the other"
    return [figure("takeover of a lost twin", times, "s", how)]


def measure() -> list[Figure]:
    """Return the figures; needs the image of the version `next`, which `make demo` brings.

    Raises:
        RuntimeError: meters did not come up, or a handover was given up.
    """
    profile = cluster.twin_profile(PROFILE)
    profile["spec"]["rollout"] = {"soakSeconds": SOAK_S, "maxConcurrent": METERS, "canary": 0}
    cluster.kubectl("apply", "-f", "-", text=json.dumps(profile))
    everybody = [*DEVICES, STORE_METER]
    cluster.create([meter(name) for name in everybody])
    cluster.watch_until(f"{cluster.API}/smartmeters", "Ready", len(everybody), DONE_S)
    seen = Seen()
    try:
        with fleet.running(everybody) as meters:
            said = meters.hear()
            if said["stored"] < len(everybody):
                raise RuntimeError(f"{said['stored']} of {len(everybody)} meters spoke")
            found = ten_days(seen, meters)
            return [*replace_all(seen, meters), *found, *takeovers(seen)]
    finally:
        seen.close()
        cluster.remove_meters()
