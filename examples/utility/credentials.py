"""Everything secret about the utility of the demo, as a Kubernetes List on stdout.

`.venv/bin/python examples/utility/credentials.py -n metertwin-demo house-1 … | kubectl apply -f -`

A CA of the utility (never the fleet's), the server's certificate, one for each device, which
devices the utility knows, and the Utility resource that tells their twins where it is. The CA's key
is forgotten at the end: each run makes a new utility, with all of its customers. Private keys are
in the output and nowhere else. Neighbours: `vtn.yaml` (the server), `README.md`.
"""

import argparse
import base64
import hashlib
import json
import ssl
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from meter_pki.authority import AUTHORITY_LIFETIME, Authority, Bundle
from meter_pki.identities import Identity
from meter_wire.names import check_device

NAME, PORT = "city-grid", 8443
PATH = "OpenADR2/Simple/2.0b"
CONTEXTS = ("http://city-grid.example/peak", "http://city-grid.example/prices")
_OCTETS = 10


def find_fingerprint(certificate: bytes) -> str:
    """Return a certificate's fingerprint: the last ten octets of its SHA-256 (OpenADR 2.0b, 10)."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).digest()
    return digest[-_OCTETS:].hex(":").upper()


def build_credentials(namespace: str, devices: Sequence[str], now: datetime) -> dict[str, Any]:
    """Return the List.

    Raises:
        ValueError: a device is outside the alphabet of devices.
    """
    authority = Authority.create(now, "City Grid CA")
    hosts = (NAME, f"{NAME}.{namespace}", f"{NAME}.{namespace}.svc")
    server = authority.issue(Identity(NAME, "", hosts, server=True), now, AUTHORITY_LIFETIME)
    bundles = {
        device: authority.issue(Identity(check_device(device)), now, AUTHORITY_LIFETIME)
        for device in devices
    }
    known = {device: find_fingerprint(one.certificate) for device, one in bundles.items()}
    ca = authority.certificate_pem
    secrets = [build_secret(f"{NAME}.{device}", one) for device, one in bundles.items()]
    items = [
        build_secret(f"{NAME}-vtn", server, ca),
        _build("v1", "ConfigMap", f"{NAME}-vens", data={"vens.json": json.dumps(known, indent=1)}),
        *secrets,
        build_utility(hosts[-1], ca.decode()),
    ]
    for one in items:
        one["metadata"]["namespace"] = namespace
    return {"apiVersion": "v1", "kind": "List", "items": items}


def build_secret(name: str, bundle: Bundle, ca: bytes = b"") -> dict[str, Any]:
    """Return a Secret with certificate and key, and the CA's certificate if there is one."""
    files = {"tls.crt": bundle.certificate, "tls.key": bundle.key}
    if ca:
        files["ca.crt"] = ca
    data = {file: base64.b64encode(content).decode() for file, content in files.items()}
    return _build("v1", "Secret", name, type="kubernetes.io/tls", data=data)


def build_utility(host: str, ca: str) -> dict[str, Any]:
    """Return the resource that tells twins where the utility is and whom to trust."""
    spec = {
        "url": f"https://{host}:{PORT}/{PATH}",
        "trust": {"caBundle": ca},
        "marketContexts": list(CONTEXTS),
    }
    return _build("metertwin.io/v1alpha1", "Utility", NAME, spec=spec)


def _build(version: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"app.kubernetes.io/name": NAME}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def main() -> int:
    """Return 0 when the List was printed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", "--namespace", required=True, help="of the devices, and the utility")
    parser.add_argument("devices", nargs="+", metavar="DEVICE", help="its customers")
    arguments = parser.parse_args()
    try:
        found = build_credentials(arguments.namespace, arguments.devices, datetime.now(UTC))
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
