"""The meters of the demo street: credentials, one pod of firmware each, and their resources.

A meter is a physical thing; here it is a pod that runs the real firmware on MicroPython's unix
port, fed by measured profiles. Its twin cannot tell it from a board. Neighbours: ``demo.py``,
``passwords.py`` (of the small ones), ``settling.py`` (what runs becomes what was built).
"""

import json
import subprocess
import time
from typing import Any

from images import image_of
from progress import fail, say
from target import ROOT, Target

STREET = ROOT / "examples/street.yaml"
ELECTRICITY = ROOT / "examples/street-electricity.json"
BOARDS = ROOT / "examples/street-boards.json"
TARIFFS = ROOT / "examples/street-tariffs.json"
PLUGIN = ROOT / ".venv/bin/kubectl-meter"
CAPTURE_PERIOD_S = 60
WIRE = {"host": "street-wire", "port": 7002}
CONTROLLABLE = {"share_permille": 400, "release_s": 10}
"""Each house's boiler or heat pump, behind a contactor of its meter."""


def households() -> list[str]:
    """Return the device ids of the houses."""
    return list(json.loads(ELECTRICITY.read_text())["households"])


def boards() -> list[str]:
    """Return the device ids of the houses whose meter is a small board."""
    return list(json.loads(BOARDS.read_text()))


def devices() -> list[str]:
    """Return the device ids of the street, the feeder last."""
    return [*households(), *boards(), "feeder-1"]


def kubectl(target: Target, *arguments: str, text: str | None = None) -> str:
    """Run kubectl against the demo's cluster and return what it printed.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    done = subprocess.run(
        ["kubectl", *arguments],
        input=text,
        text=True,
        check=True,
        capture_output=True,
        env=target.environment(),
    )
    return done.stdout


def existing(target: Target, namespace: str, kind: str) -> set[str]:
    """Return the names of the objects of one kind in the demo's namespace."""
    listed = kubectl(target, "get", kind, "-n", namespace, "-o", "name")
    return {line.split("/", 1)[1] for line in listed.split()}


def meter_configuration(device: str, anchor: str) -> dict[str, Any]:
    """Return what the demo adds to a provisioned `meter.json`."""
    street = json.loads(ELECTRICITY.read_text())
    street |= {"anchor": anchor, "wire": WIRE}
    electricity: dict[str, Any] = {"street": street}
    if device in street["households"]:
        electricity["name"] = device
    return {
        "capture_period_s": CAPTURE_PERIOD_S,
        "state_dir": "/var/lib/meter/state",
        "oracle_log": "/var/lib/meter/oracle.log",
        "profiles": "/app/profiles",
        "ems": {"port": 7001, "period_s": 5},
        "loads": [CONTROLLABLE],
        "tariff": tariff_of(device),
        "electricity": electricity,
    }


def tariff_of(device: str) -> dict[str, Any]:
    """Return a meter's calendar: one, two or four rates."""
    tariffs = json.loads(TARIFFS.read_text())
    return {
        "zone": tariffs["zone"],
        "switches": tariffs["calendars"][tariffs["meters"][device]],
    }


def build_meter_pod(device: str, image: str) -> dict[str, Any]:
    """Return the pod that stands for a physical meter, as restricted as a twin's."""
    container = {
        "name": "meter",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "bundle", "mountPath": "/etc/meter", "readOnly": True},
            {"name": "flash", "mountPath": "/var/lib/meter"},
        ],
    }
    labels = {
        "app.kubernetes.io/name": "metertwin-meter",
        "metertwin.io/role": "meter",
        "metertwin.io/device": device,
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    volumes = [
        {"name": "bundle", "secret": {"secretName": f"meter-{device}", "defaultMode": 0o440}},
        {"name": "flash", "emptyDir": {}},
    ]
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": security,
        "containers": [container],
        "volumes": volumes,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"meter-{device}", "labels": labels},
        "spec": spec,
    }


def provision(target: Target, namespace: str, device: str, anchor: str) -> None:
    """Give one meter its credentials and configuration, as `kubectl meter provision` does.

    Raises:
        SystemExit: the plugin refused; its message stands above.
    """
    settings = ROOT / "build/demo" / f"{device}.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(meter_configuration(device, anchor)))
    command = [str(PLUGIN), "provision", device, "--namespace", namespace, "--secret"]
    command += ["--settings", str(settings)]
    done = subprocess.run(
        command, check=False, env=target.environment(), capture_output=True, text=True
    )
    if done.returncode != 0:
        fail(f"while provisioning {device}: {done.stderr.strip() or done.stdout.strip()}")


def apply_meters(target: Target, namespace: str) -> dict[str, str]:
    """Provision the meters that are not there yet, start their pods, flash older ones anew.

    Returns:
        pod → container of those that were flashed; that container has yet to end.
    """
    secrets = existing(target, namespace, "secrets")
    pods = existing(target, namespace, "pods")
    anchor = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() // 900 * 900))
    for device in devices():
        if f"meter-{device}" not in secrets:
            provision(target, namespace, device, anchor)
    missing = [device for device in devices() if f"meter-{device}" not in pods]
    images = {f"meter-{device}": image_of(target, firmware_of(device)) for device in devices()}
    manifests = [build_meter_pod(device, images[f"meter-{device}"]) for device in missing]
    if manifests:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        kubectl(target, "apply", "-n", namespace, "-f", "-", text=text)
    flashed = flash(target, namespace, images)
    running = len(devices()) - len(missing) - len(flashed)
    say(f"    {len(missing)} meters started, {len(flashed)} flashed anew, {running} were there")
    return flashed


def firmware_of(device: str) -> str:
    """Return which of the built images a meter runs."""
    return "firmware-esp8266" if device in boards() else "firmware"


def flash(target: Target, namespace: str, images: dict[str, str]) -> dict[str, str]:
    """Give meters with other firmware the one that was built, in place: their flash stays.

    `images`: pod → what it should run.
    """
    older = {
        pod["metadata"]["name"]: container_of(pod).get("containerID", "")
        for pod in pods_of(target, namespace, "meter")
        if pod["spec"]["containers"][0]["image"] != images[pod["metadata"]["name"]]
    }
    for name in older:
        kubectl(target, "set", "image", "-n", namespace, f"pod/{name}", f"meter={images[name]}")
    return older


def pods_of(target: Target, namespace: str, role: str) -> list[dict[str, Any]]:
    """Return the pods of the street's meters or twins that are not about to go."""
    chosen = f"metertwin.io/role={role},metertwin.io/device in ({','.join(devices())})"
    listed = kubectl(target, "get", "pods", "-n", namespace, "-l", chosen, "-o", "json")
    pods: list[dict[str, Any]] = json.loads(listed)["items"]
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def container_of(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the status of a pod's only container, empty if there is none yet."""
    rows: list[dict[str, Any]] = pod["status"].get("containerStatuses") or [{}]
    return rows[0]


def apply_street(target: Target, namespace: str) -> None:
    """Apply the SmartMeters of the street."""
    kubectl(target, "apply", "-n", namespace, "-f", str(STREET))
