"""Meters with old certificates get new ones, and are restarted where they stand: their flash stays.

Certificate, key and CA of the Secret are replaced; ``meter.json`` stays, and with it the key of the
frames and where the meter is in its profile. A meter reads its certificate when it starts, so one
that runs since before is told to end; a run that was cut short is made good by the next one.
Neighbours: ``credentials.py`` (when), ``street.py``, ``demo.py``.
"""

import base64
import datetime as dt
import hashlib
import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from credentials import is_due, is_older
from progress import fail, say
from street import PLUGIN, boards, container_of, devices, kubectl, pods_of
from target import Target

CERTIFICATE = "meter.crt.der"
MOUNTED = f"/etc/meter/{CERTIFICATE}"
RENEWED = ("ca.der", CERTIFICATE, "meter.key.der")
ENDS = "ends"
# A changed Secret is in its pods within some 90 s. MicroPython takes SIGINT as process 1 too.
RESTART = f"""
import binascii, ffi, hashlib, sys, time
digest, path, process, patience_s = sys.argv[-4:]
for _ in range(int(patience_s)):
    with open(path, "rb") as file:
        if binascii.hexlify(hashlib.sha256(file.read()).digest()).decode() == digest:
            break
    time.sleep(1)
else:
    print("the new certificate is not in the pod")
    sys.exit(1)
print("{ENDS}")
ffi.open(None).func("i", "kill", "ii")(int(process), 2)
"""
PATIENCE_S = 180


def find_due(certificates: dict[str, bytes], now: dt.datetime) -> list[str]:
    """Return the devices of the street whose Secret is there and whose certificate is due."""
    return [
        device
        for device in with_certificates()
        if f"meter-{device}" in certificates and is_due(certificates[f"meter-{device}"], now)
    ]


def with_certificates() -> list[str]:
    """Return the devices of the street but those that have a password instead."""
    return [device for device in devices() if device not in boards()]


def find_older(pods: list[dict[str, Any]], certificates: dict[str, bytes]) -> dict[str, str]:
    """Return pod → container of the meters that started before their certificate was made."""
    return {
        name: container_of(pod).get("containerID", "")
        for pod in pods
        for name in (pod["metadata"]["name"],)
        if certificates.get(name) and is_older(started_of(pod), certificates[name])
    }


def started_of(pod: dict[str, Any]) -> str:
    """Return since when a pod's container runs, empty if it does not."""
    return str((container_of(pod).get("state", {}).get("running") or {}).get("startedAt", ""))


def read_certificates(target: Target, namespace: str) -> dict[str, bytes]:
    """Return Secret → certificate in its DER form, empty in one that has none; nothing else."""
    picked = CERTIFICATE.replace(".", r"\.")
    rows = f'{{range .items[*]}}{{.metadata.name}} {{.data.{picked}}}{{"\\n"}}{{end}}'
    listed = kubectl(target, "get", "secrets", "-n", namespace, "-o", f"jsonpath={rows}")
    pairs = (line.partition(" ") for line in listed.splitlines())
    return {name: base64.b64decode(text) for name, _, text in pairs}


def renew_meters(target: Target, namespace: str) -> dict[str, str]:
    """Renew what is due and restart the meters that run with something older.

    Returns:
        pod → container of those that were restarted; that container has yet to end.
    """
    due = find_due(read_certificates(target, namespace), dt.datetime.now(dt.UTC))
    if due:
        say(f"    new credentials for {', '.join(due)}: at most a third of their time was left")
        renew(target, namespace, due)
    certificates = read_certificates(target, namespace)
    older = find_older(pods_of(target, namespace, "meter"), certificates)
    if older:
        say(f"    restarting {', '.join(older)}, which had started with older credentials")
        with ThreadPoolExecutor(len(older)) as pool:
            list(pool.map(lambda pod: restart(target, namespace, pod, certificates[pod]), older))
    return older


def renew(target: Target, namespace: str, due: list[str]) -> None:
    """Replace certificate, key and CA in the Secrets of some devices.

    Raises:
        SystemExit: the plugin refused; its message is said.
    """
    with tempfile.TemporaryDirectory(prefix="metertwin-") as name:
        folder = Path(name)
        command = [str(PLUGIN), "provision", *due, "--namespace", namespace, "--out", name]
        done = subprocess.run(
            command, check=False, env=target.environment(), capture_output=True, text=True
        )
        if done.returncode != 0:
            fail(f"while renewing credentials: {done.stderr.strip() or done.stdout.strip()}")
        for device in due:
            data = {one: encoded(folder / device / one) for one in RENEWED}
            patch = folder / f"{device}.json"
            patch.touch(mode=0o600)
            patch.write_text(json.dumps({"data": data}))
            secret = ["secret", f"meter-{device}", "-n", namespace]
            kubectl(target, "patch", *secret, "--type", "merge", "--patch-file", str(patch))


def encoded(path: Path) -> str:
    """Return a file as a Secret holds it."""
    return base64.b64encode(path.read_bytes()).decode()


def restart(target: Target, namespace: str, pod: str, certificate: bytes) -> None:
    """End a meter's process as soon as the pod has the certificate; its node starts it anew.

    Raises:
        SystemExit: the pod did not get it, or nothing can be run in it, with the way out.
    """
    digest = hashlib.sha256(certificate).hexdigest()
    program = ["/usr/bin/micropython", "-c", RESTART, digest, MOUNTED, "1", str(PATIENCE_S)]
    done = subprocess.run(
        ["kubectl", "exec", pod, "-n", namespace, "--", *program],
        check=False, env=target.environment(), capture_output=True, text=True,
    )  # fmt: skip
    if ENDS not in done.stdout.split():  # its status is that of a process that ended with its pod
        said = done.stderr.strip() or done.stdout.strip()
        fail(f"{pod} could not be restarted ({said}): delete that pod and run this again")
