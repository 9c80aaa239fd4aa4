"""The street's meters without TLS: their passwords, who hears of them, from where they may come.

A board has its password in ``meter.json``, the broker has its hash in a Secret of all boards
(docs/how-to/constrained-listener.md). The broker reads that Secret before there are boards: it
begins empty. Neighbours: ``demo.py``, ``street.py`` (the pods).
"""

import base64
import ipaddress
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from progress import fail, say
from street import BOARDS, CAPTURE_PERIOD_S, PLUGIN, boards, existing, kubectl
from target import Target

PASSWORDS = "board-passwords"
"""The Secret of the chart's values; its only key has the file of mosquitto_passwd."""
FIELD = "passwords"
AROUND = {4: 16, 6: 64}
"""Bits of the range around a pod where the cluster does not say which ranges are its pods'."""


def find_pod_ranges(target: Target) -> list[str]:
    """Return the ranges of the cluster's pods: its nodes' own, else those around its pods."""
    nodes = json.loads(kubectl(target, "get", "nodes", "-o", "json"))["items"]
    pods = json.loads(kubectl(target, "get", "pods", "-A", "-o", "json"))["items"]
    return judge_ranges(nodes, pods)


def judge_ranges(nodes: list[dict[str, Any]], pods: list[dict[str, Any]]) -> list[str]:
    """Return the ranges of pods, sorted; pods with an address of their node do not count."""
    told = {one for node in nodes for one in node["spec"].get("podCIDRs", [])}
    if told:
        return sorted(told)
    found = {
        ipaddress.ip_interface(f"{address}/{AROUND[ipaddress.ip_address(address).version]}").network
        for pod in pods
        if not pod["spec"].get("hostNetwork")
        for address in (pod["status"].get("podIP", ""),)
        if address
    }
    return sorted(map(str, found))


def ensure_passwords(target: Target, namespace: str) -> None:
    """Make the broker's Secret, without a line, if there is none: the broker waits for it."""
    if PASSWORDS not in existing(target, namespace, "secrets"):
        apply_secret(target, namespace, PASSWORDS, {FIELD: b""})


def give_credentials(target: Target, namespace: str, release: str) -> None:
    """Give each board that lacks them its `meter.json` and its line for the broker.

    Args:
        target: the cluster.
        namespace: the demo's.
        release: of the chart, whose broker is started anew: it would hear of them a minute later.

    Raises:
        SystemExit: the plugin refused; its message is said.
    """
    lines = read_lines(target, namespace)
    secrets = existing(target, namespace, "secrets")
    missing = [one for one in boards() if one not in lines or f"meter-{one}" not in secrets]
    if not missing:
        return
    for device, bundle in provision(target, namespace, missing).items():
        lines[device] = bundle[FIELD].decode().strip()
        files = {"meter.json": json.dumps(simulated(device, bundle["meter.json"])).encode()}
        apply_secret(target, namespace, f"meter-{device}", files)
        pod = ["pod", f"meter-{device}", "-n", namespace]  # one that runs has another password
        kubectl(target, "delete", *pod, "--ignore-not-found", "--wait")
    text = "".join(f"{line}\n" for line in lines.values())
    apply_secret(target, namespace, PASSWORDS, {FIELD: text.encode()})
    broker = [f"deployment/{release}-mosquitto", "-n", namespace]
    kubectl(target, "rollout", "restart", *broker)
    kubectl(target, "rollout", "status", *broker, "--timeout=120s")
    say(f"    passwords of {', '.join(missing)}")


def read_lines(target: Target, namespace: str) -> dict[str, str]:
    """Return device → its line of the broker's passwords."""
    found = json.loads(kubectl(target, "get", "secret", PASSWORDS, "-n", namespace, "-o", "json"))
    text = base64.b64decode(found.get("data", {}).get(FIELD, "")).decode()
    return {line.split(":")[0]: line for line in text.splitlines()}


def provision(target: Target, namespace: str, wanted: list[str]) -> dict[str, dict[str, bytes]]:
    """Return device → file → content of what `kubectl meter provision --constrained` makes.

    Raises:
        SystemExit: the plugin refused; its message is said.
    """
    with tempfile.TemporaryDirectory(prefix="metertwin-") as folder:
        command = [str(PLUGIN), "provision", *wanted, "--namespace", namespace, "--constrained"]
        command += ["--out", folder, "--set", f"capture_period_s={CAPTURE_PERIOD_S}"]
        command += ["--set", "state_dir=/var/lib/meter/state"]
        done = subprocess.run(
            command, check=False, env=target.environment(), capture_output=True, text=True
        )
        if done.returncode != 0:
            fail(f"while provisioning boards: {done.stderr.strip() or done.stdout.strip()}")
        return {
            device: {path.name: path.read_bytes() for path in (Path(folder) / device).iterdir()}
            for device in wanted
        }


def simulated(device: str, content: bytes) -> dict[str, Any]:
    """Return a board's `meter.json` with what its process reads too: load and oracle's log."""
    table: dict[str, Any] = json.loads(content)
    load_w = json.loads(BOARDS.read_text())[device]
    return {**table, "load_w": load_w, "oracle_log": "/var/lib/meter/oracle.log"}


def apply_secret(target: Target, namespace: str, name: str, files: dict[str, bytes]) -> None:
    """Make or replace a Secret of the demo."""
    data = {file: base64.b64encode(content).decode() for file, content in files.items()}
    metadata = {"name": name, "namespace": namespace}
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    kubectl(target, "apply", "--server-side", "-f", "-", text=json.dumps(manifest))
