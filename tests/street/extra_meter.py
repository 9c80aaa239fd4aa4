"""A meter that is none of the street's: real firmware in a pod of its own, with its credentials."""

import contextlib
import json
import os
import subprocess
import sys

from demo import ROOT, environment, get, kubectl, meter

LIKE = "house-1"
"""The house of the street whose tariff and image it has."""
CONFIGURE = """
import json, sys, time
import street
device, like, image = sys.argv[1:]
tariff = street.tariff_of(like)
street.tariff_of = lambda _: tariff
anchor = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() // 900 * 900))
settings = street.meter_configuration(device, anchor)
print(json.dumps({"settings": settings, "pod": street.build_meter_pod(device, image)}))
"""


@contextlib.contextmanager
def firmware(device, folder):
    """Run it while the block lasts; its settings are a file of `folder`."""
    (container,) = get("pod", f"meter-{LIKE}")["spec"]["containers"]
    command = [sys.executable, "-c", CONFIGURE, device, LIKE, container["image"]]
    path = dict(environment(), PYTHONPATH=os.fspath(ROOT / "tools/demo"))
    done = subprocess.run(command, env=path, capture_output=True, text=True, check=True)
    made = json.loads(done.stdout)
    settings = folder / f"{device}.json"
    settings.write_text(json.dumps(made["settings"]))
    meter("provision", device, "--secret", "--settings", str(settings))
    kubectl("apply", "-f", "-", text=json.dumps(made["pod"]))
    try:
        yield
    finally:
        kubectl("delete", "pod,secret", f"meter-{device}", "--ignore-not-found", "--wait=false")
