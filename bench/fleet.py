"""Readings per second into the twins, and how long a killed broker keeps everybody away.

Provisions simulated meters, runs them (`meters.py`) inside the cluster's network and tells them
what to do. Only on a cluster whose nodes are this machine.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cluster
from figure import Figure, figure
from meter_pki.authority import Authority
from meter_pki.identities import meter_identity
from meter_wire.fleet_keys import derive_meter_key

BROKER = "app.kubernetes.io/component%3Dbroker"
BACK_S = 120


def provision(folder: Path, devices: list[str]) -> None:
    """Write the credentials of simulated meters, signed by the installation's own authority."""
    ca = cluster.secret("metertwin-ca")
    authority = Authority.load(ca["tls.crt"], ca["tls.key"])
    master = cluster.secret("metertwin-fleet-key")["master"]
    service = cluster.get(f"{cluster.CORE}/services/metertwin-mosquitto")
    (folder / "ca.crt").write_bytes(ca["tls.crt"])
    now = datetime.now(UTC)
    for device in devices:
        bundle = authority.issue(meter_identity(device), now)
        (folder / f"{device}.crt").write_bytes(bundle.certificate)
        (folder / f"{device}.key").write_bytes(bundle.key)
    keys = {device: derive_meter_key(master, device, 1).hex() for device in devices}
    document = {"host": service["spec"]["clusterIP"], "port": 8883, "keys": keys}
    (folder / "meters.json").write_text(json.dumps(document))


class Meters:
    """The process of the simulated meters."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Keep the process."""
        self._process = process

    def hear(self) -> dict[str, Any]:
        """Return its next line.

        Raises:
            RuntimeError: it has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the simulated meters ended early")
        found: dict[str, Any] = json.loads(line)
        return found

    def send(self, line: str) -> None:
        """Send a line; the answer is heard later."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def tell(self, line: str) -> dict[str, Any]:
        """Send a line and return the answer."""
        self.send(line)
        return self.hear()


@contextlib.contextmanager
def running(devices: list[str]) -> Iterator[Meters]:
    """Run simulated meters of these devices until the block ends."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        provision(folder, devices)
        command = [
            str(cluster.TOOL),
            "net",
            sys.executable,
            str(Path(__file__).parent / "meters.py"),
        ]
        process = subprocess.Popen(
            [*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield Meters(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def ingest(meters: Meters, count: int, seconds: float) -> list[Figure]:
    """Return the readings per second that all twins together stored."""
    said = meters.tell(f"flood {seconds}")
    method = (
        f"{count} simulated meters in one process beside the twins, 18 registers a reading, each "
        f"60 readings ahead; acknowledged (committed) readings, thirds of {seconds * 0.75} s; "
        f"the meters' own processor time, {said['processor_s']:.0f} s, comes from the same cores"
    )
    return [
        figure(f"readings stored by {count} twins", said["rates"], "readings/s", method),
        figure("readings not stored at the end", float(said["unstored"]), "readings",
               "head of every meter's ring minus its stored mark, 20 s after the last", ("<=", 0)),
    ]  # fmt: skip


def sessions(pod: str) -> set[str]:
    """Return the client ids that the broker's present container says have connected."""
    log = cluster.kubectl("logs", pod, "-c", "mosquitto", "--tail=-1")
    return set(re.findall(r"New client connected from \S+ as (\S+)", log))


def reconnect(meters: Meters, count: int) -> list[Figure]:
    """Kill the broker's process on the host; return the seconds until its clients are back.

    Raises:
        RuntimeError: its process was not found.
    """
    pod = cluster.pods(BROKER)[0]["metadata"]
    pids = cluster.processes(pod["uid"], "mosquitto.conf")
    if not pids:
        raise RuntimeError("the broker's process is not on this machine")
    meters.tell(f"reconnect {BACK_S}")
    killed_at = time.monotonic()
    os.kill(pids[0], signal.SIGKILL)
    listening = cluster.wait_until(
        lambda: bool(set(cluster.processes(pod["uid"], "mosquitto.conf")) - set(pids)),
        "a new broker",
        BACK_S,
        0.05,
    )

    def everybody() -> bool:
        with contextlib.suppress(RuntimeError):
            return len(sessions(pod["name"])) >= 2 * count + 1
        return False

    cluster.wait_until(everybody, "all clients are back", BACK_S, 0.3)
    twins = time.monotonic() - killed_at
    said = meters.hear()
    if not said["back"]:
        raise RuntimeError("not every meter came back")
    times = [at - killed_at for at in said["times"]]
    how = "after kill -9 of the broker's process on the host (kubelet restarts the container)"
    return [
        figure("broker's process runs again", listening, "s", f"seconds {how}"),
        figure(f"{count} meters are back", max(times), "s",
               f"last meter's MQTT session with its subscriptions granted, {how}; meters use the "
               "twin's MQTT shell and its back-off (0.5 s, doubling, random)"),
        figure("a meter is back", times, "s", f"spread over the {count} meters, {how}"),
        figure(f"{count} meters, {count} twins and the operator are back", twins, "s",
               f"new sessions in the broker's log, polled every 0.3 s, {how}"),
    ]  # fmt: skip
