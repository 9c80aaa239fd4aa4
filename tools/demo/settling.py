"""What runs becomes what was built: twins get the new image, every meter is asked once more.

A condition can be older than the change that was just made: pods are compared by image and
container, and each meter has to answer itself. Neighbours: ``street.py``, ``demo.py``.
"""

import json
import subprocess
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from images import image_of
from progress import fail, say
from street import PLUGIN, container_of, devices, kubectl, pods_of
from target import Target

WAIT_S = 300
AT_A_TIME = 3


def device_of(pod: dict[str, Any]) -> str:
    """Return the device that a meter's or twin's pod stands for."""
    return str(pod["metadata"]["labels"]["metertwin.io/device"])


def is_ready(pod: dict[str, Any]) -> bool:
    """Return whether a pod's only container runs and is ready."""
    return bool(container_of(pod).get("ready"))


def pinned(target: Target, namespace: str) -> set[str]:
    """Return the devices whose twin's version somebody chose, for the meter or its profile."""
    listed = kubectl(target, "get", "smartmeters,twinprofiles", "-n", namespace, "-o", "json")
    chosen, profile_of = set(), {}
    for row in json.loads(listed)["items"]:
        name, spec = row["metadata"]["name"], row["spec"]
        twin = spec.get("twin") or {}
        if twin.get("version") or twin.get("image"):
            chosen.add((row["kind"], name))
        if row["kind"] == "SmartMeter":
            profile_of[name] = spec["profile"]
    return {
        name
        for name, profile in profile_of.items()
        if {("SmartMeter", name), ("TwinProfile", profile)} & chosen
    }


def find_older(pods: list[dict[str, Any]], image: str, keep: Collection[str]) -> list[str]:
    """Return the pods of twins that run another image than `image`; those of `keep` may."""
    return [
        pod["metadata"]["name"]
        for pod in pods
        if pod["spec"]["containers"][0]["image"] != image and device_of(pod) not in keep
    ]


def deletion(namespace: str, pods: list[str]) -> list[str]:
    """Return the arguments of kubectl that delete pods; one that went meanwhile is no failure."""
    return ["delete", "pod", "-n", namespace, "--ignore-not-found", *pods]


def replace_older_twins(target: Target, namespace: str) -> None:
    """Replace the street's twins that run another image than the built one, a few at a time.

    An upgrade of the chart leaves running twins alone. They are deleted and not handed over,
    because the street names no version; what the meters' rings no longer hold is lost.

    Raises:
        SystemExit: not all were replaced in time.
    """
    image, keep = image_of(target, "twin"), pinned(target, namespace)

    def look() -> list[dict[str, Any]]:
        return pods_of(target, namespace, "twin")

    deadline = time.monotonic() + WAIT_S
    older = find_older(look(), image, keep)
    if older:
        say(f"    {len(older)} twins get the new image, {AT_A_TIME} at a time")
    while older:
        if time.monotonic() > deadline:
            fail(f"not within {WAIT_S} s: {', '.join(older)} still run another image")
        kubectl(target, *deletion(namespace, older[:AT_A_TIME]))
        wait_until(lambda: find_unready(look(), "twin"), deadline)
        older = find_older(look(), image, keep)


def find_unready(pods: list[dict[str, Any]], role: str) -> list[str]:
    """Return what is wrong with the meters or twins of the street: missing or not Ready."""
    ready = {device_of(pod) for pod in pods if is_ready(pod)}
    reasons = {device_of(pod): reason_of(pod) for pod in pods}
    return [
        f"the {role} of {device} is not Ready{reasons.get(device, '')}"
        for device in devices()
        if device not in ready
    ]


def find_unflashed(pods: list[dict[str, Any]], flashed: dict[str, str]) -> list[str]:
    """Return the meters that have not got another container than before the flash or restart.

    Args:
        pods: the meters'.
        flashed: pod → container before it, empty if it had none.
    """
    return [
        f"{pod['metadata']['name']} has not started anew{reason_of(pod)}"
        for pod in pods
        if container_of(pod).get("containerID", "") == flashed.get(pod["metadata"]["name"], "-")
    ]


def reason_of(pod: dict[str, Any]) -> str:
    """Return why a pod's container waits, as the end of a sentence; nothing if it does not."""
    waiting = container_of(pod).get("state", {}).get("waiting") or {}
    return f" ({waiting['reason']})" if waiting.get("reason") else ""


def answers(target: Target, namespace: str, device: str) -> bool:
    """Return whether the meter itself answers, asked through its twin now."""
    command = [str(PLUGIN), "read", device, "--namespace", namespace, "--live", "-o", "json"]
    done = subprocess.run(
        command, check=False, env=target.environment(), capture_output=True, text=True
    )
    return done.returncode == 0 and '"metered"' in done.stdout


def wait_for_answers(target: Target, namespace: str, deadline: float) -> None:
    """Ask each meter of the street until it has answered once, a few at a time.

    Raises:
        SystemExit: some have not; they are named.
    """
    silent = devices()

    def ask() -> list[str]:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            heard = list(pool.map(lambda device: answers(target, namespace, device), silent))
        silent[:] = [device for device, yes in zip(silent, heard, strict=True) if not yes]
        return [f"{device} does not answer" for device in silent]

    wait_until(ask, deadline)


def wait_until(complaints: Callable[[], list[str]], deadline: float) -> None:
    """Ask until there are no complaints.

    Raises:
        SystemExit: there still were some at the deadline; they are named.
    """
    while found := complaints():
        if time.monotonic() > deadline:
            fail(f"not within {WAIT_S} s: {'; '.join(found)}")
        time.sleep(1)


def wait_for_street(target: Target, namespace: str, flashed: dict[str, str]) -> None:
    """Wait until the street runs what was built and each meter answered; others do not matter.

    Args:
        target: the cluster.
        namespace: the demo's.
        flashed: pod → container of meters that were flashed or restarted; it has to be gone.

    Raises:
        SystemExit: it does not, with what each one says of itself.
    """
    deadline = time.monotonic() + WAIT_S

    def look() -> list[dict[str, Any]]:
        return pods_of(target, namespace, "meter")

    wait_until(lambda: find_unflashed(look(), flashed), deadline)
    wait_until(lambda: find_unready(look(), "meter"), deadline)
    wait_for_condition(target, namespace, "Ready", deadline)
    wait_for_answers(target, namespace, deadline)
    wait_for_condition(target, namespace, "MeterConnected", deadline)


def wait_for_condition(target: Target, namespace: str, condition: str, deadline: float) -> None:
    """Wait until every SmartMeter of the street has a condition.

    Raises:
        SystemExit: one has not; the table stands above.
    """
    left = max(1, int(deadline - time.monotonic()))
    wait = ["wait", f"--for=condition={condition}", "smartmeters", *devices(), "-n", namespace]
    try:
        kubectl(target, *wait, f"--timeout={left}s")
    except subprocess.CalledProcessError as error:
        print(kubectl(target, "get", "smartmeters", "-n", namespace, "-o", "wide"))
        fail(f"not every meter became {condition} within {WAIT_S} s: {error.stderr.strip()}")
