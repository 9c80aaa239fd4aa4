"""The cluster under measurement: kubectl, the installation of its own, processes on the host.

Everything is measured in the namespace `metertwin-bench` with an operator and a broker of its own,
so that the demo street is not disturbed; `installation` removes it again in the end.
"""

import base64
import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "metertwin-bench"
PROFILE = "household"
TOOL = ROOT / "tools/cluster/cluster"
API = "/apis/metertwin.io/v1alpha1/namespaces/" + NAMESPACE
CORE = "/api/v1/namespaces/" + NAMESPACE


def environment() -> dict[str, str]:
    """Return the environment in which kubectl and helm are found."""
    done = subprocess.run([TOOL, "bin"], capture_output=True, text=True, check=False)
    folder = done.stdout.strip() if done.returncode == 0 else ""
    return dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}" if folder else os.environ["PATH"])


ENVIRONMENT = environment()


def run(*command: str, text: str | None = None, timeout_s: float = 300) -> str:
    """Run a program and return what it printed.

    Raises:
        RuntimeError: it failed, with its own message.
    """
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, env=ENVIRONMENT,
        timeout=timeout_s,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)[:200]}: {done.stderr.strip()[-500:]}")
    return done.stdout


def kubectl(*arguments: str, text: str | None = None, timeout_s: float = 300) -> str:
    """Run kubectl in the namespace of the measurement."""
    return run("kubectl", "-n", NAMESPACE, *arguments, text=text, timeout_s=timeout_s)


def get(path: str) -> dict[str, Any]:
    """Return the answer of the API server to a GET."""
    found: dict[str, Any] = json.loads(run("kubectl", "get", "--raw", path))
    return found


def create(items: list[dict[str, Any]]) -> None:
    """Create objects in the namespace."""
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    kubectl("create", "-f", "-", text=document, timeout_s=600)


def delete_collection(path: str) -> None:
    """Delete all objects of a collection; one request."""
    with contextlib.suppress(RuntimeError):
        run("kubectl", "delete", "--raw", path)


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float, every_s: float) -> float:
    """Return the seconds until the condition held.

    Raises:
        TimeoutError: it did not.
    """
    begun = time.monotonic()
    while time.monotonic() - begun < timeout_s:
        if condition():
            return time.monotonic() - begun
        time.sleep(every_s)
    raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")


def watch_until(path: str, condition: str, count: int, timeout_s: float) -> None:
    """Wait until a condition of so many objects of a collection is True.

    One watch costs the API server little; lists, asked for again and again, slow down what is
    measured.

    Raises:
        TimeoutError: it did not become so.
    """
    command = ["kubectl", "get", "--raw", f"{path}{'&' if '?' in path else '?'}watch=1"]
    found: dict[str, bool] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        try:
            for line in process.stdout or ():
                event = json.loads(line)
                body = event["object"]
                if event["type"] == "ERROR":
                    raise RuntimeError(f"watch of {path}: {body.get('message')}")
                is_there = event["type"] != "DELETED"
                found[body["metadata"]["name"]] = is_there and has_condition(body, condition)
                if sum(found.values()) >= count:
                    return
        finally:
            timer.cancel()
            process.kill()
    raise TimeoutError(f"not within {timeout_s:.0f} s: {condition} of {count} in {path}")


def smart_meter(name: str, profile: str = PROFILE) -> dict[str, Any]:
    """Return a SmartMeter of the measurement."""
    return {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": "SmartMeter",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"bench": "meter"}},
        "spec": {
            "protocol": "link-v1",
            "profile": profile,
            "meteringPoint": {"id": name, "scheme": "Other", "timezone": "Europe/Brussels"},
            "capturePeriodSeconds": 60,
            "dataPolicy": {"purpose": "billing", "resolutionSeconds": 900, "retentionDays": 60},
        },
    }


def twin_profile(name: str = PROFILE, resources: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the demo's TwinProfile, with other resources if given."""
    spec: dict[str, Any] = {
        "applications": {
            "offered": [{"name": "metering-data"}, {"name": "power-quality"}],
            "default": ["metering-data", "power-quality"],
        },
        "engines": {"offered": {"encrypt": ["sealed-box"]}, "default": {"encrypt": "sealed-box"}},
    }
    if resources:
        spec["twin"] = {"resources": resources}
    return {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": "TwinProfile",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def secret(name: str) -> dict[str, bytes]:
    """Return the data of a Secret."""
    data = get(f"{CORE}/secrets/{name}")["data"]
    return {key: base64.b64decode(value) for key, value in data.items()}


def pods(selector: str) -> list[dict[str, Any]]:
    """Return the pods of a label selector, read in one request."""
    found: list[dict[str, Any]] = get(f"{CORE}/pods?labelSelector={selector}")["items"]
    return found


def has_condition(item: dict[str, Any], name: str) -> bool:
    """Return whether a condition of an object is True."""
    rows = item.get("status", {}).get("conditions") or []
    return any(row["type"] == name and row["status"] == "True" for row in rows)


def processes(uid: str, word: str) -> list[int]:
    """Return the host's process ids of a pod whose command line holds a word.

    The pod's uid stands in the path of its cgroup; empty when the nodes are not this machine.
    """
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            groups = (folder / "cgroup").read_text()
            if (uid in groups or uid.replace("-", "_") in groups) and (
                word in (folder / "cmdline").read_bytes().decode(errors="replace")
            ):
                found.append(int(folder.name))
    return found


def on_this_machine() -> bool:
    """Return whether the nodes run here, as the local cluster's do."""
    path = "/api/v1/pods?labelSelector=app.kubernetes.io/component%3Doperator"
    found = get(path)["items"]
    return any(processes(pod["metadata"]["uid"], "meter_operator") for pod in found)


@contextlib.contextmanager
def installation() -> Iterator[None]:
    """Install the chart in the namespace of the measurement; remove all of it at the end."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace"}
    namespace |= {"metadata": {"name": NAMESPACE, "labels": labels}}
    try:
        run("kubectl", "apply", "-f", "-", text=json.dumps(namespace))
        remove_meters()  # those of a run that was killed
        chart = ROOT / "charts/metertwin"
        run("helm", "upgrade", "--install", "metertwin", str(chart), "-n", NAMESPACE,
            "-f", str(chart / "ci/demo-values.yaml"), "-f", str(ROOT / "build/demo/images.json"),
            "--set", "crds.enabled=false", "--set", "rbac.aggregateToDefaultRoles=false",
            "--set", "mosquitto.constrainedListener.enabled=false",
            "--set", "archive.enabled=false",
            "--wait", "--timeout", "3m")  # fmt: skip
        kubectl("apply", "-f", "-", text=json.dumps(twin_profile()))
        yield
    finally:
        remove_meters()
        with contextlib.suppress(RuntimeError):
            run("helm", "uninstall", "metertwin", "-n", NAMESPACE, "--ignore-not-found")
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")


def remove_meters() -> None:
    """Remove all meters, then what they owned without waiting for the garbage collector."""
    delete_collection(f"{API}/smartmeters")
    time.sleep(2)
    delete_collection(f"{CORE}/pods?labelSelector=metertwin.io/role%3Dtwin&gracePeriodSeconds=1")
    delete_collection(f"{CORE}/secrets?labelSelector=metertwin.io/role%3Dtwin")
    delete_collection(f"{CORE}/events")
    with contextlib.suppress(TimeoutError, RuntimeError):
        wait_until(lambda: not pods("metertwin.io/role%3Dtwin"), "no twin is left", 180, 1)
