"""The demo's utility: credentials of its customers, its server, and the wire of the street.

The server is openleadr's (examples/utility). A second run keeps what is there: new credentials
would make another utility of it. Neighbours: ``demo.py``, ``street.py`` (the customers).
"""

import json
import subprocess

from images import image_of
from progress import say
from street import existing, households, kubectl
from target import ROOT, Target

NAME = "city-grid"
EXAMPLES = ROOT / "examples/utility"
WIRE = ROOT / "examples/street-wire.yaml"
PLACEHOLDER = "localhost/metertwin/utility:dev"


def apply_utility(target: Target, namespace: str) -> None:
    """Give the households credentials for their utility, and run its server.

    Raises:
        subprocess.CalledProcessError: something could not be made.
    """
    kubectl(target, "apply", "-n", namespace, "-f", str(WIRE))
    wanted = {f"{NAME}-vtn", *(f"{NAME}.{device}" for device in households())}
    is_new = bool(wanted - existing(target, namespace, "secrets"))
    if is_new:
        kubectl(target, "apply", "-f", "-", text=make_credentials(namespace))
    manifest = (EXAMPLES / "vtn.yaml").read_text()
    server = manifest.replace(PLACEHOLDER, image_of(target, "utility"))
    if server == manifest:
        raise ValueError(f"examples/utility/vtn.yaml: does not name {PLACEHOLDER}")
    kubectl(target, "apply", "-n", namespace, "-f", "-", text=server)
    if is_new:  # a server that ran already has the credentials of before
        kubectl(target, "rollout", "restart", "-n", namespace, f"deployment/{NAME}")
    wait = ["rollout", "status", "-n", namespace, f"deployment/{NAME}", "--timeout=120s"]
    kubectl(target, *wait)
    made = "made" if is_new else "were there"
    say(f"    credentials of {len(households())} customers {made}")


def make_credentials(namespace: str) -> str:
    """Return the List of Secrets and resources that make the households customers."""
    command = [str(ROOT / ".venv/bin/python"), str(EXAMPLES / "credentials.py")]
    command += ["-n", namespace, *households()]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    json.loads(done.stdout)
    return done.stdout
