# ruff: noqa: INP001, T201 - a script in a ConfigMap
"""`helm test`: declares a meter, waits until it is Ready, removes it. Standard library only."""

import json
import os
import secrets
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE = os.environ["METER_NAMESPACE"]
TIMEOUT_S = int(os.environ["TIMEOUT_SECONDS"])
GROUP = "/apis/metertwin.io/v1alpha1"
TLS = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))


def call(method: str, plural: str, name: str = "", body: dict | None = None) -> dict:
    """Ask the API server; raises urllib.error.HTTPError."""
    server = (
        f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    )
    request = urllib.request.Request(  # noqa: S310
        f"{server}{GROUP}/namespaces/{NAMESPACE}/{plural}/{name}".rstrip("/"),
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, context=TLS, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def resource(kind: str, name: str, spec: dict) -> dict:
    """Return a resource of our group."""
    return {
        "apiVersion": "metertwin.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def ready(meter: dict) -> tuple[bool, str]:
    """Return whether the current generation is Ready, and why (not)."""
    for condition in meter.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            current = condition.get("observedGeneration", 0) == meter["metadata"]["generation"]
            return condition["status"] == "True" and current, (
                f"{condition['reason']}: {condition['message']}"
            )
    return False, "the operator has not looked at it"


def wait(name: str) -> bool:
    """Return True when the meter is Ready in time."""
    end = time.monotonic() + TIMEOUT_S
    said = ""
    while time.monotonic() < end:
        good, why = ready(call("GET", "smartmeters", name))
        if why != said:
            print(why, flush=True)
            said = why
        if good:
            return True
        time.sleep(1)
    return False


def main() -> int:
    """Return 0 when a meter became Ready."""
    name = f"helm-test-{secrets.token_hex(4)}"
    applications = {"offered": [{"name": "metering-data"}], "default": ["metering-data"]}
    point = {"id": name, "scheme": "Other", "timezone": "Etc/UTC"}
    call("POST", "twinprofiles", body=resource("TwinProfile", name, {"applications": applications}))
    try:
        spec = {"profile": name, "meteringPoint": point}
        call("POST", "smartmeters", body=resource("SmartMeter", name, spec))
        return 0 if wait(name) else 1
    except urllib.error.HTTPError as error:
        print(f"while testing {name}: {error} {error.read().decode()}", flush=True)
        return 1
    finally:
        for plural in ("smartmeters", "twinprofiles"):
            try:
                call("DELETE", plural, name)
            except urllib.error.HTTPError as error:
                print(f"while deleting {plural}/{name}: {error}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
