"""The running demo street as tests see it: kubectl, the plugin, the oracle and bounded waiting."""

import base64
import contextlib
import functools
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/process"))

from oracle import read_oracle, read_store  # noqa: E402 - the neighbour is found by its path

NAMESPACE = "metertwin-demo"
HOUSES = [f"house-{number}" for number in range(1, 9)]
FEEDER = "feeder-1"
WHOLE = [*HOUSES, FEEDER]
"""Those with all of the firmware."""
BOARDS = ["house-9", "house-10"]
"""Those with the heap of an ESP8266: pulses of one load, no tariff, at the port without TLS."""
DEVICES = [*WHOLE, *BOARDS]
PLUGIN = pathlib.Path(sys.executable).with_name("kubectl-meter")
CLUSTER = str(ROOT / "tools/cluster/cluster")
ORACLE_LOG = "/var/lib/meter/oracle.log"
STORE = "/var/lib/metertwin/twin.db"
READ_LOG = f"print(open('{ORACLE_LOG}').read(), end='')"
COPY_STORE = (
    f"import sqlite3,sys; c=sqlite3.connect('file:{STORE}?mode=ro', uri=True, timeout=5);"
    " sys.stdout.buffer.write(c.serialize())"
)


@functools.cache
def environment():
    """Return the environment with a kubeconfig and the cluster's own kubectl on the path."""
    found = dict(os.environ)

    def ask(what):
        done = subprocess.run([CLUSTER, what], text=True, capture_output=True, check=False)
        return done.stdout.strip()

    if not found.get("KUBECONFIG"):
        found["KUBECONFIG"] = ask("kubeconfig")
    found["PATH"] = f"{ask('bin')}:{found['PATH']}"
    return found


def is_ours():
    """Whether this is the cluster of `tools/cluster`, whose parts are processes of this machine."""
    return run(CLUSTER, "kubeconfig", check=False).stdout.strip() == environment()["KUBECONFIG"]


def run(*command, text=None, check=True, binary=False, timeout=240):
    """Run a program; its output is text unless `binary`. `timeout` only ends what hangs.

    Raises:
        AssertionError: it failed, with what it said.
    """
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=not binary,
        check=False,
        env=environment(),
        timeout=timeout,
    )
    assert done.returncode == 0 or not check, (command, done.stderr, done.stdout)
    return done


def kubectl(*arguments, **options):
    return run("kubectl", "--namespace", NAMESPACE, *arguments, **options)


def get(kind, *arguments):
    """Return an object, or a list's items."""
    found = json.loads(kubectl("get", kind, *arguments, "-o", "json").stdout)
    return found["items"] if found["kind"].endswith("List") else found


def names(kind, *arguments):
    lines = kubectl("get", kind, *arguments, "-o", "name").stdout.split()
    return {line.split("/", 1)[1] for line in lines}


def apply(*manifests, check=True):
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    return kubectl("apply", "-f", "-", text=text, check=check)


def meter(command, *arguments, **options):
    """Run the plugin; without options it must succeed."""
    return run(str(PLUGIN), command, *arguments, "--namespace", NAMESPACE, **options)


def answers(device):
    """Whether the meter itself answers through its twin."""
    done = meter("read", device, "--live", "-o", "json", check=False, timeout=90)
    return done.returncode == 0 and '"metered"' in done.stdout


def ask_meter(command, device, *arguments):
    return json.loads(meter(command, device, *arguments, "-o", "json").stdout)


def read_live(device):
    """Return what the meter itself answers; one that was too slow is asked again."""
    return until(lambda: ask_meter("read", device, "--live"), f"{device} answers itself")


def find_address(device, pod):
    """Return what a pod is told when it asks for the device's name; empty if it has none."""
    host = f"{device}.metertwin-twins.{NAMESPACE}.svc"
    ask = f"import socket; print(socket.gethostbyname('{host}'))"
    done = kubectl("exec", pod, "--", "python3", "-c", ask, check=False)
    assert done.returncode == 0 or "gaierror" in done.stderr, done.stderr
    return done.stdout.strip()


def until(question, what, timeout_s=180, period_s=0.5):
    """Ask until the answer is true and return it; an assertion that fails asks again.

    The time is no requirement: it ends a wait that would last for ever.

    Raises:
        AssertionError: it never was, with the last answer or reason.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        reason = ""
        try:
            answer = question()
        except (AssertionError, subprocess.TimeoutExpired) as error:
            answer, reason = None, str(error)
        if answer:
            return answer
        last = reason or repr(answer)
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}, last {last}"
        time.sleep(period_s)


def build_manifest(name, **fields):
    """Return a SmartMeter that is right but for `fields`; None leaves a field out."""
    spec = {
        "protocol": "link-v1",
        "profile": "household",
        "meteringPoint": {"id": "541448860000000998", "scheme": "EAN"},
        "capturePeriodSeconds": 60,
        **fields,
    }
    return {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": "SmartMeter",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }


def condition(smart_meter, kind="Ready"):
    """Return a condition of the current generation, or nothing."""
    rows = smart_meter.get("status", {}).get("conditions", [])
    generation = smart_meter["metadata"]["generation"]
    for row in rows:
        if row["type"] == kind and row["observedGeneration"] == generation:
            return row
    return {}


def is_ready(device, kind="Ready"):
    return condition(get("smartmeter", device), kind).get("status") == "True"


def twin_of(device):
    """Return the pod that status names."""
    return get("pod", get("smartmeter", device)["status"]["twin"]["pod"])


def restarts(pod):
    return sum(row["restartCount"] for row in pod["status"]["containerStatuses"])


def is_pod_ready(pod):
    rows = pod["status"].get("conditions", [])
    return any(row["type"] == "Ready" and row["status"] == "True" for row in rows)


def secret(name):
    """Return the decoded fields of a Secret."""
    data = get("secret", name).get("data", {})
    return {field: base64.b64decode(value) for field, value in data.items()}


def find_process(pod):
    """Return this machine's id of the first process in a pod's container, None if it is elsewhere."""
    container = pod["status"]["containerStatuses"][0]["containerID"].split("//", 1)[1]
    for path in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if container not in path.read_text():
                continue
            status = path.with_name("status").read_text()
        except OSError:
            continue
        identities = next(line for line in status.splitlines() if line.startswith("NSpid:"))
        if identities.split()[-1] == "1":
            return int(path.parent.name)
    return None


def kill(process):
    os.kill(process, signal.SIGKILL)


def skip_elsewhere():
    """End a test that has to kill a process; on the cluster of tools/cluster they are all here."""
    assert not is_ours(), "the container's process is not found"
    pytest.skip("the container runs on another machine: nothing here can kill -9 it")


class Record:
    """What the firmware logged and what its twin stored."""

    def __init__(self, folder, device):
        self.device = device
        self._log = folder / f"{device}.log"
        self._store = folder / f"{device}.db"

    def logged(self):
        """Return {identity: (kind, hash)} of the firmware's own log."""
        pod = f"meter-{self.device}"
        done = kubectl("exec", pod, "--", "/usr/bin/micropython", "-c", READ_LOG)
        self._log.write_text(done.stdout)
        return read_oracle(self._log)

    def boots(self):
        self.logged()
        return sum(line.startswith("boot ") for line in self._log.read_text().splitlines())

    def stored(self):
        """Return the ledger of the twin's store."""
        self._copy()
        return read_store(self._store)

    def store_id(self):
        """Return the random identity that the store was made with."""
        self._copy()
        with contextlib.closing(sqlite3.connect(self._store)) as store:
            return store.execute("SELECT value FROM property WHERE name = 'store_id'").fetchone()[0]

    def _copy(self):
        """Write down a consistent copy of the twin's store."""
        pod = get("smartmeter", self.device)["status"]["twin"]["pod"]
        done = kubectl("exec", pod, "--", "python3", "-c", COPY_STORE, binary=True)
        copy = bytearray(done.stdout)
        copy[18:20] = b"\x01\x01"  # no write-ahead log beside the copy
        self._store.write_bytes(copy)

    def verify(self, timeout_s=180):
        """Everything logged until now reaches the store: once, in order, unchanged, nothing more.

        The plugin lists the same: readings and events together are every stored number. What the
        twin has reaches the archive.
        """
        logged = self.logged()
        assert logged

        def arrived():
            missing = logged.keys() - self.stored().entries.keys()
            assert not missing, f"not stored: {sorted(missing)}"
            return True

        until(arrived, f"the twin of {self.device} has what was logged", timeout_s, 1)
        ledger = self.stored()
        ledger.verify(logged, self.logged())
        self._verify_listing(ledger)
        self.verify_archive(timeout_s)

    def verify_archive(self, timeout_s=180):
        """Everything logged until now reaches the archive: once, unchanged, nothing more."""
        from archive_ledger import read_archive

        logged = self.logged()
        incarnations = {identity.incarnation for identity in logged}

        def arrived():
            missing = logged.keys() - read_archive(self.device, incarnations).entries.keys()
            assert not missing, f"not archived: {sorted(missing)}"
            return True

        until(arrived, f"the archive has what {self.device} logged", timeout_s, 1)
        read_archive(self.device, incarnations).verify(logged, self.logged())

    def _verify_listing(self, ledger):
        order = list(ledger.raw)
        listed = {}
        for command, kind in (("readings", 1), ("events", 2)):
            rows = ask_meter(command, self.device, "--since", "all")
            found = [(row["incarnation"], row["seq"]) for row in rows]
            in_order = sorted(found, key=lambda name: (order.index(name[0]), name[1]))
            assert found == in_order, f"{command} of {self.device} are out of order"
            assert len(set(found)) == len(found), f"{command} of {self.device} list one twice"
            listed[kind] = set(found)
        for kind, found in listed.items():
            stored = {tuple(name) for name, content in ledger.entries.items() if content[0] == kind}
            assert stored <= found, f"not listed: {stored - found}"
        assert not listed[1] & listed[2]
