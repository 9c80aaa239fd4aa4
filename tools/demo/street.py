"""The meters of the demo street: credentials, one pod of firmware each, and their resources.

A meter is a physical thing; here it is a pod that runs the real firmware on MicroPython's unix
port, fed by measured profiles. Its twin cannot tell it from a board. Neighbour: ``demo.py``.
"""

import json
import subprocess
import time
from typing import Any

from progress import fail, say
from target import ROOT, Target, image_tag, registry

STREET = ROOT / "examples/street.yaml"
ELECTRICITY = ROOT / "examples/street-electricity.json"
TARIFFS = ROOT / "examples/street-tariffs.json"
PLUGIN = ROOT / ".venv/bin/kubectl-meter"
CAPTURE_PERIOD_S = 60
WAIT_S = 300
TRY_TO_REACH = """
import socket
s = socket.socket()
s.settimeout(3)
s.connect(socket.getaddrinfo("{address}", {port})[0][-1])
print("reached")
"""


def devices() -> list[str]:
    """Return the device ids of the street, the feeder last."""
    street = json.loads(ELECTRICITY.read_text())
    return [*street["households"], "feeder-1"]


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
    street["anchor"] = anchor
    electricity: dict[str, Any] = {"street": street}
    if device in street["households"]:
        electricity["name"] = device
    return {
        "capture_period_s": CAPTURE_PERIOD_S,
        "state_dir": "/var/lib/meter/state",
        "oracle_log": "/var/lib/meter/oracle.log",
        "profiles": "/app/profiles",
        "ems": {"port": 7001, "period_s": 5},
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


def image_of(target: Target) -> str:
    """Return the firmware image as the cluster knows it."""
    if target.loader == "registry":
        return f"{registry()}/{image_tag('firmware')}"
    return f"localhost/metertwin/{image_tag('firmware')}"


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


def apply_meters(target: Target, namespace: str) -> None:
    """Provision the meters that are not there yet and start their pods."""
    secrets = existing(target, namespace, "secrets")
    pods = existing(target, namespace, "pods")
    anchor = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() // 900 * 900))
    for device in devices():
        if f"meter-{device}" not in secrets:
            provision(target, namespace, device, anchor)
    missing = [device for device in devices() if f"meter-{device}" not in pods]
    image = image_of(target)
    manifests = [build_meter_pod(device, image) for device in missing]
    if manifests:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        kubectl(target, "apply", "-n", namespace, "-f", "-", text=text)
    flashed = flash(target, namespace, image)
    running = len(devices()) - len(missing) - flashed
    say(f"    {len(missing)} meters started, {flashed} flashed anew, {running} were running")


def flash(target: Target, namespace: str, image: str) -> int:
    """Give meters with other firmware the one that was built, in place: their flash stays."""
    chosen = ["pods", "-n", namespace, "-l", "metertwin.io/role=meter"]
    path = r"jsonpath={range .items[*]}{.metadata.name} {.spec.containers[0].image}{'\n'}{end}"
    lines = kubectl(target, "get", *chosen, "-o", path).splitlines()
    older = [name for name, used in map(str.split, lines) if used != image]
    for name in older:
        kubectl(target, "set", "image", "-n", namespace, f"pod/{name}", f"meter={image}")
    return len(older)


def apply_street(target: Target, namespace: str) -> None:
    """Apply the SmartMeters of the street."""
    kubectl(target, "apply", "-n", namespace, "-f", str(STREET))


def wait_for_street(target: Target, namespace: str) -> None:
    """Wait until the meters of the street are Ready and connected; others are not our business.

    Raises:
        SystemExit: they are not, with what each one says of itself.
    """
    deadline = time.monotonic() + WAIT_S
    for condition in ("Ready", "MeterConnected"):
        left = max(1, int(deadline - time.monotonic()))
        wait = ["wait", f"--for=condition={condition}", "smartmeters", *devices(), "-n", namespace]
        try:
            kubectl(target, *wait, f"--timeout={left}s")
        except subprocess.CalledProcessError as error:
            print(kubectl(target, "get", "smartmeters", "-n", namespace, "-o", "wide"))
            fail(f"not every meter became {condition} within {WAIT_S} s: {error.stderr.strip()}")


def network_policies_hold(target: Target, namespace: str) -> bool:
    """Return whether the network plug-in keeps a meter's pod away from a twin, tried for real.

    The chart's policies let a meter reach the broker only; its pod tries the port of a twin that
    other twins may reach. A failed try counts as held: the demo does not warn without evidence.
    """
    meter = devices()[0]
    path = "jsonpath={.items[0].status.podIP}"
    twins = f"metertwin.io/role=twin,metertwin.io/device={meter}"
    try:
        address = kubectl(target, "get", "pods", "-n", namespace, "-l", twins, "-o", path)
        script = TRY_TO_REACH.format(address=address, port=8443)
        call = ["exec", "-n", namespace, f"meter-{meter}", "--", "micropython", "-c", script]
        return "reached" not in kubectl(target, *call)
    except subprocess.CalledProcessError:
        return True
