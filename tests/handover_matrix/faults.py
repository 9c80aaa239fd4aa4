"""The faults of the matrix: each is prepared before the handover, inflicted at once, then over.

`prepare` may take its time; `inflict` must not, and returns when the fault is there; `heal` brings
back what does not come back by itself. Kills are those of this machine's kernel, so they need the
containers here. Neighbours: `cells` (who calls), `flows` (when).
"""

import os
import signal
import subprocess
import threading
import time

from api import CORE, ApiError
from demo import CLUSTER, environment, find_process, get, is_pod_ready, run, until
from kernel import is_twin_of, kill, processes_here, processes_of

ELSEWHERE = "the containers run on another machine: nothing here can kill -9 them"
NOT_OURS = "the cluster is not the one of tools/cluster: its API server is not ours to stop"
AWAY_S = 30
OFFLINE_S = 25
SHARED = threading.RLock()
"""Held from a fault of something that all meters share until it is over."""


class UnsuitedError(Exception):
    """This fault cannot be inflicted on this cluster; says why."""


class Fault:
    """One column of the matrix, for one cell."""

    is_shared = False

    def __init__(self, api, cell):
        self.api, self.cell = api, cell
        self.note = ""
        self.fell_s = 0.0
        """When it fell, Unix time; 0: when `inflict` returned."""
        self.fell = True
        """Whether there was something to break."""

    def prepare(self):
        """Find what `inflict` needs."""

    def inflict(self):
        """Do it; when this returns it has happened."""

    def heal(self):
        """Wait until it is over."""


def find_operator():
    """Return the operator's pod; one that is on its way out does not count."""
    rows = get("pod", "-l", "metertwin.io/role=operator")
    (pod,) = [row for row in rows if "deletionTimestamp" not in row["metadata"]]
    return pod


class OperatorKilled(Fault):
    """Killed, and its pod deleted with it: a new one comes at once, without a growing pause."""

    is_shared = True

    def prepare(self):
        def find():
            self.pod = find_operator()
            assert is_pod_ready(self.pod)
            self.process = find_process(self.pod)
            return self.process

        try:
            until(find, "one operator, and its process", 90)
        except AssertionError as error:
            raise UnsuitedError(f"{ELSEWHERE} ({error})") from error

    def inflict(self):
        kill(self.process)

    def heal(self):
        name = self.pod["metadata"]["name"]
        until(lambda: _delete(self.api, name), "its pod is deleted")

        def back():
            rows = get("pod", "-l", "metertwin.io/role=operator")
            fresh = [row for row in rows if row["metadata"]["name"] != name]
            return fresh and is_pod_ready(fresh[0])

        until(back, "the operator is back")


class TwinKilled(Fault):
    """Kill -9 of one twin's container, which starts again with its store."""

    def __init__(self, api, cell, side):
        super().__init__(api, cell)
        self._side = side

    def prepare(self):
        timeline = self.cell.timeline
        source = timeline.meter["status"]["epoch"]
        if timeline.processes.get(source) is None:
            raise UnsuitedError(ELSEWHERE)

    def inflict(self):
        timeline = self.cell.timeline
        epoch = timeline.epochs[self._side]
        process = timeline.processes.get(epoch) or self._wait_for_process(timeline)
        if process is None:
            self.fell, self.note = False, "it never was there"
        elif not kill(process):
            self.fell, self.note = False, "it was gone already"

    def _wait_for_process(self, timeline):
        """Return a twin's process as soon as the kernel has it: status says it much later."""
        with timeline.changed:
            if not timeline.changed.wait_for(lambda: self._pod(timeline), 60):
                return None
        uid, deadline = self._pod(timeline), time.monotonic() + 60
        others = set()
        while time.monotonic() < deadline and self._pod(timeline) == uid:
            for process in sorted(processes_here() - others):
                verdict = is_twin_of(process, uid)
                if verdict:
                    return process
                if verdict is False:
                    others.add(process)
            time.sleep(0.01)
        return None

    def _pod(self, timeline):
        return timeline.pods.get(timeline.epochs[self._side])


class BrokerKilled(Fault):
    """Kill -9 of Mosquitto; its pod goes too if the node makes it wait long."""

    is_shared = True

    def prepare(self):
        def find():
            (self.pod,) = get("pod", "-l", "app.kubernetes.io/component=broker")
            assert is_pod_ready(self.pod)
            return True

        until(find, "the broker")
        statuses = self.pod["status"]["containerStatuses"]
        (container,) = [row for row in statuses if row["name"] == "mosquitto"]
        identity = container["containerID"].split("//", 1)[1]
        self.processes = list(processes_of(identity))
        if not self.processes:
            raise UnsuitedError(ELSEWHERE)

    def inflict(self):
        for process in self.processes:
            kill(process)

    def heal(self):
        name = self.pod["metadata"]["name"]
        deadline = time.monotonic() + 25

        def back():
            rows = get("pod", "-l", "app.kubernetes.io/component=broker")
            if time.monotonic() > deadline and rows and rows[0]["metadata"]["name"] == name:
                _delete(self.api, name)
            return rows and is_pod_ready(rows[0])

        time.sleep(1)
        until(back, "the broker is back")


class MeterKilled(Fault):
    """Kill -9 of the firmware: a reboot at the worst moment."""

    def prepare(self):
        self.process = _meter_process(self.cell.device)

    def inflict(self):
        kill(self.process)


def _meter_process(device):
    process = find_process(get("pod", f"meter-{device}"))
    if process is None:
        raise UnsuitedError(ELSEWHERE)
    return process


class ApiServerAway(Fault):
    """The API server's process is stopped for half a minute: nobody gets an answer or a refusal."""

    is_shared = True

    def prepare(self):
        ours = run(CLUSTER, "kubeconfig", check=False).stdout.strip()
        if not ours or ours != environment()["KUBECONFIG"]:
            raise UnsuitedError(NOT_OURS)
        rows = [line.split() for line in run(CLUSTER, "status").stdout.splitlines()]
        (self.process,) = [int(row[2]) for row in rows if row[0] == "kube-apiserver"]

    def inflict(self):
        os.kill(self.process, signal.SIGSTOP)
        self._timer = threading.Timer(AWAY_S, os.kill, (self.process, signal.SIGCONT))
        self._timer.start()

    def heal(self):
        self._timer.join()


class RollbackAsked(Fault):
    """Somebody asks for the version from before."""

    def inflict(self):
        self.cell.ask(self.cell.version_before)


class StoreDeleted(Fault):
    """The pod of the active twin is deleted, and its emptyDir with it."""

    def inflict(self):
        timeline = self.cell.timeline
        epoch = timeline.meter["status"]["epoch"]
        self.note = f"of epoch {epoch}"
        _delete(self.api, f"{timeline.device}-e{epoch}")
        self.fell_s = timeline.gone_s(epoch)  # the answer may come later than the watch's word


def _delete(api, pod):
    """Delete a pod at once; one that is gone is no fault. Whether it was done."""
    try:
        api.delete(f"{CORE}/pods/{pod}", 0)
    except ApiError as error:
        return " 404 " in str(error)
    return True


class MeterOffline(Fault):
    """Nothing reaches the meter's network and nothing leaves it, for a while.

    Some flows are shorter than it takes to make the rules: the firmware is stopped until they are.
    """

    def prepare(self):
        self._process = _meter_process(self.cell.device)
        self._command = ["nsenter", "--target", str(self._process), "--net", "iptables", "-w"]
        try:
            self._rule("-D", check=False)
        except OSError as error:
            raise UnsuitedError(f"nsenter or iptables: {error}") from error

    def _rule(self, what, *, check=True):
        for chain in ("INPUT", "OUTPUT"):
            command = [*self._command, what, chain, "-j", "DROP"]
            subprocess.run(command, check=check, capture_output=True, timeout=30)

    def inflict(self):
        os.kill(self._process, signal.SIGSTOP)
        self.fell_s = time.time()
        try:
            self._rule("-I")
        finally:
            os.kill(self._process, signal.SIGCONT)

    def heal(self):
        time.sleep(OFFLINE_S)
        self._rule("-D")


FAULTS = {
    "operator-killed": OperatorKilled,
    "old-twin-killed": lambda api, cell: TwinKilled(api, cell, 0),
    "new-twin-killed": lambda api, cell: TwinKilled(api, cell, 1),
    "broker-killed": BrokerKilled,
    "meter-killed": MeterKilled,
    "api-away": ApiServerAway,
    "rollback": RollbackAsked,
    "store-deleted": StoreDeleted,
    "meter-offline": MeterOffline,
}
SHORT = [("1", "meter-offline"), ("2", "operator-killed"), ("3", "new-twin-killed"),
         ("4", "old-twin-killed"), ("5", "broker-killed"), ("6", "meter-killed"),
         ("7", "api-away"), ("8", "rollback"), ("9", "new-twin-killed"),
         ("commit", "operator-killed"), ("10", "store-deleted"), ("11", "broker-killed"),
         ("12", "old-twin-killed")]  # fmt: skip
"""The cells that every run has: each row and each column at least once."""
SHORT_OF_BOARDS = [("1", "meter-offline"), ("2", "meter-killed"), ("3", "new-twin-killed"),
                   ("4", "old-twin-killed"), ("5", "broker-killed"), ("6", "meter-killed"),
                   ("7", "meter-offline"), ("8", "rollback"), ("9", "new-twin-killed"),
                   ("commit", "meter-killed"), ("10", "store-deleted"), ("11", "meter-offline"),
                   ("12", "old-twin-killed")]  # fmt: skip
"""The same for the two small meters: each row, and every column but operator and API server.

Those two never speak to a meter, and stop all houses while they are away.
"""
OF_A_METER = ("meter-killed", "meter-offline", "broker-killed", "store-deleted")
"""The columns that reach a meter; `make nightly` has the small ones in each row of these."""
