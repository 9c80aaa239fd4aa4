"""Where utilities are, as twins are told: one ConfigMap a namespace, in their volumes. Pure.

A utility that moves its server or renews its CA replaces no twin (docs/adr/0021). Neighbours:
`utilities` (writes it), `builders` (mounts it), the twin's `utility_file` (reads it).
"""

import json
from typing import Any

from cryptography.x509 import load_pem_x509_certificates
from meter_wire.names import UTILITIES_CONFIG_MAP

Json = dict[str, Any]
ADDRESS_FILE, CA_FILE = "utility.json", "ca.crt"
CREDENTIALS = ("tls.crt", "tls.key", "client_id", "client_secret")


def find_fault(spec: Json) -> str:
    """Return what is wrong with a Utility that the API server cannot know; empty if nothing is."""
    bundle = (spec.get("trust") or {}).get("caBundle")
    if bundle is None:
        return ""
    try:
        load_pem_x509_certificates(bundle.encode())
    except ValueError:
        return "spec.trust.caBundle: holds no certificates that can be read (PEM)"
    return ""


def build_entries(name: str, spec: Json) -> dict[str, str]:
    """Return the entries of a Utility in the ConfigMap."""
    address = {
        "protocol": spec.get("protocol", "openadr-2.0b"),
        "url": spec["url"],
        "marketContexts": spec.get("marketContexts") or [],
    }
    if spec.get("signedBy"):
        address["signedBy"] = spec["signedBy"]
    bundle = (spec.get("trust") or {}).get("caBundle")
    entries = {f"{name}.json": json.dumps(address, sort_keys=True)}
    return entries | ({f"{name}.crt": bundle} if bundle else {})


def build_volume(name: str, secret: str) -> Json:
    """Return the volume by which a twin knows its utility, and is known to it.

    Everything in it may come later, or go: what is missing there must not keep a twin from serving
    its meter.
    """
    address = [
        {"key": f"{name}.json", "path": ADDRESS_FILE},
        {"key": f"{name}.crt", "path": CA_FILE},
    ]
    credentials = [{"key": one, "path": one} for one in CREDENTIALS]
    sources: list[Json] = [
        {"configMap": {"name": UTILITIES_CONFIG_MAP, "optional": True, "items": address}},
        {"secret": {"name": secret, "optional": True, "items": credentials}},
    ]
    return {"name": "utility", "projected": {"sources": sources, "defaultMode": 0o440}}
