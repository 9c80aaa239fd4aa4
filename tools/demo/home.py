"""The demo's energy management: one home that hears its twin over the broker (examples/ems).

Its certificate is a reader's, of the CA of the installation; it lasts 30 days and is made anew when
a third is left. Neighbours: ``demo.py``, ``credentials.py`` (when), ``street.py``.
"""

import base64
import datetime as dt
import json
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from credentials import is_due
from images import image_of
from progress import fail, say
from street import kubectl
from target import ROOT, Target

READER = "home-2"
SECRET = f"ems-{READER}"
DEPLOYMENT = READER
MANIFEST = ROOT / "examples/ems/home.yaml"
PLACEHOLDER = "localhost/metertwin/ems:dev"
CA_SECRET = "metertwin-ca"  # noqa: S105 - a name
FILES = ("ca.crt", "tls.crt", "tls.key")


def apply_home(target: Target, namespace: str) -> None:
    """Give the home a certificate if it needs one, and run its energy management.

    Raises:
        subprocess.CalledProcessError: something could not be made.
        SystemExit: no certificate could be made; the reason is said.
    """
    is_new = needs_certificate(read_secret(target, namespace, SECRET), dt.datetime.now(dt.UTC))
    if is_new:
        made = make_secret(namespace, read_secret(target, namespace, CA_SECRET))
        kubectl(target, "apply", "-f", "-", text=made)
    manifest = build_manifest(namespace, image_of(target, "ems"))
    kubectl(target, "apply", "-n", namespace, "-f", "-", text=manifest)
    if is_new:  # one that ran already has the certificate of before
        kubectl(target, "rollout", "restart", "-n", namespace, f"deployment/{DEPLOYMENT}")
    wait = ["rollout", "status", "-n", namespace, f"deployment/{DEPLOYMENT}", "--timeout=120s"]
    kubectl(target, *wait)
    say(f"    certificate of {READER} {'made' if is_new else 'was there'}")


def read_secret(target: Target, namespace: str, name: str) -> dict[str, bytes]:
    """Return the fields of a Secret, none if there is no such Secret."""
    found = kubectl(target, "get", "secret", name, "-n", namespace, "--ignore-not-found", "-ojson")
    fields: dict[str, str] = json.loads(found).get("data", {}) if found.strip() else {}
    return {field: base64.b64decode(text) for field, text in fields.items()}


def needs_certificate(secret: dict[str, bytes], now: dt.datetime) -> bool:
    """Return whether a home's certificate is missing, or at most a third of its time is left."""
    if any(name not in secret for name in FILES):
        return True
    try:
        der = ssl.PEM_cert_to_DER_cert(secret["tls.crt"].decode("ascii"))
    except ValueError:
        return True
    return is_due(der, now)


def make_secret(namespace: str, ca: dict[str, bytes]) -> str:
    """Return the Secret with a new certificate of the home.

    Raises:
        SystemExit: the CA cannot be used; what the command said is passed on.
    """
    with tempfile.TemporaryDirectory(prefix="metertwin-") as name:
        folder = Path(name)
        for file in ("tls.crt", "tls.key"):
            (folder / file).write_bytes(ca.get(file, b""))
        command = [str(ROOT / ".venv/bin/python"), "-m", "meter_pki", "reader", READER]
        command += [
            "--ca-certificate",
            str(folder / "tls.crt"),
            "--ca-key",
            str(folder / "tls.key"),
        ]
        out = folder / "out"
        done = subprocess.run(
            [*command, "--out", str(out)], check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            fail(f"while making the certificate of {READER}: {done.stderr.strip()}")
        data = {file: base64.b64encode((out / file).read_bytes()).decode() for file in FILES}
    return json.dumps(build_secret(namespace, data))


def build_secret(namespace: str, data: dict[str, str]) -> dict[str, Any]:
    """Return a Secret of a home's files, base64."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": data,
    }


def build_manifest(namespace: str, image: str) -> str:
    """Return the home's manifest with the built image, for a namespace.

    Raises:
        ValueError: the manifest has no place for the image or the namespace.
    """
    text = MANIFEST.read_text()
    for old, new in ((PLACEHOLDER, image), (".metertwin-demo.svc", f".{namespace}.svc")):
        if old not in text:
            raise ValueError(f"{MANIFEST}: does not name {old}")
        text = text.replace(old, new)
    return text
