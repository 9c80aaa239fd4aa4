"""Makes or signs the credentials of a device. The private key of a device is never kept.

The authority and the fleet key are read once from their Secrets; the result is a folder for a
board, a certificate for a request that a device made itself, or (for simulated meters) a Secret.
"""

import base64
import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from meter_pki.authorities import Authorities, load_authorities
from meter_pki.authority import Authority, CredentialError, key_to_der, pem_to_der
from meter_pki.identities import meter_identity
from meter_pki.renewal import renew_from
from meter_wire.fleet_keys import derive_meter_key
from meter_wire.names import (
    FLEET_KEY_FIELD,
    LABEL_DEVICE,
    LABEL_ROLE,
    ROLE_METER,
    build_meter_secret,
    check_device,
)

from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError

CA_FILES = "ca.der", "ca-2.der"
"""The CA that signs, and the first further anchor while it is rotated: a meter holds two."""
CERTIFICATE_FILE, KEY_FILE = "meter.crt.der", "meter.key.der"
_MASTER_BYTES = 32
CSR_REMEDY = (
    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
    "-subj / -keyout meter.key -out meter.csr"
)


class Issuer(NamedTuple):
    """What it takes to make credentials; never printed."""

    authorities: Authorities
    master: bytes

    @property
    def authority(self) -> Authority:
        """The CA that signs."""
        return self.authorities.signing

    @property
    def anchors(self) -> dict[str, bytes]:
        """What a meter trusts: file → certificate (DER)."""
        return dict(zip(CA_FILES, self.authorities.trusted_der, strict=False))

    def __repr__(self) -> str:
        """Show nothing: a traceback must not hold a key."""
        return "Issuer(…)"


def load_issuer(cluster: Cluster, ca_secret: str, fleet_key_secret: str) -> Issuer:
    """Read authority and fleet key.

    Raises:
        MeterError: a Secret is missing, not readable or incomplete.
    """
    ca = _secret(cluster, ca_secret, "--ca-secret")
    fleet = _secret(cluster, fleet_key_secret, "--fleet-key-secret")
    master = fleet.get(FLEET_KEY_FIELD, b"")
    if len(master) != _MASTER_BYTES:
        raise MeterError(
            f"Secret {fleet_key_secret} has no key {FLEET_KEY_FIELD} of {_MASTER_BYTES} bytes",
            field=f"data.{FLEET_KEY_FIELD}",
            remedy="name the right one with --fleet-key-secret",
        )
    try:
        return Issuer(load_authorities(ca), master)
    except CredentialError as error:
        raise MeterError(str(error), field=f"Secret {ca_secret}") from None


def _secret(cluster: Cluster, name: str, option: str) -> dict[str, bytes]:
    found = cluster.find("secret", name)
    if found is None:
        raise MeterError(
            f"there is no Secret {name} in namespace {cluster.namespace or '(the current one)'}",
            field=option,
            remedy="name the namespace of the installation with --system-namespace",
        )
    return {key: base64.b64decode(value) for key, value in found.get("data", {}).items()}


def check_name(device: str) -> str:
    """Return the device id.

    Raises:
        MeterError: it is outside the alphabet; only device names are ever signed.
    """
    try:
        return check_device(device)
    except ValueError:
        raise MeterError(
            f"{device!r} is no device id",
            field="DEVICE",
            remedy="use 1 to 32 of a-z, 0-9 and -, no - at the ends",
        ) from None


def meter_json(
    issuer: Issuer, device: str, key_version: int, broker: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the firmware's configuration, K_meter in it; `broker`: where it is, and its ports."""
    first, *others = issuer.anchors
    return {
        **settings,
        "device": device,
        "broker": {**settings.get("broker", {}), **broker},
        "tls": {
            "ca": [first, *others] if others else first,
            "cert": CERTIFICATE_FILE,
            "key": KEY_FILE,
        },
        "key": derive_meter_key(issuer.master, device, key_version).hex(),
    }


def build_bundle(
    issuer: Issuer,
    document: dict[str, Any],
    now: datetime,
    lifetime: timedelta,
    request: bytes | None = None,
) -> dict[str, bytes]:
    """Return the files of a device; with a signing request there is no private key among them.

    `lifetime` is the certificate's, see `lifetimes`.

    Raises:
        MeterError: the signing request cannot be used.
    """
    identity = meter_identity(document["device"])
    made: dict[str, bytes] = {}
    if request is None:
        bundle = issuer.authority.issue(identity, now, lifetime)
        made[CERTIFICATE_FILE] = pem_to_der(bundle.certificate)
        made[KEY_FILE] = key_to_der(bundle.key)
    else:
        try:
            signed = issuer.authority.sign_request(identity, request, now, lifetime)
        except CredentialError as error:
            raise MeterError(str(error), field="--csr", remedy=CSR_REMEDY) from None
        made[CERTIFICATE_FILE] = pem_to_der(signed)
    tls = {**document["tls"], "renew_from": renew_from(made[CERTIFICATE_FILE])}
    meter = json.dumps({**document, "tls": tls}, indent=1).encode() + b"\n"
    return {"meter.json": meter, **issuer.anchors, **made}


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Write a bundle, readable by its owner only; nothing is ever overwritten.

    Raises:
        MeterError: a file exists, or the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in files:
            if (folder / name).exists():
                raise MeterError(
                    f"{folder / name} exists", field="--out", remedy="name another folder"
                )
        for name, data in files.items():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(folder / name, flags, 0o600), "wb") as file:
                file.write(data)
    except OSError as error:
        raise MeterError(f"{folder}: {error.strerror}", field="--out") from None


def build_secret(device: str, files: dict[str, bytes]) -> dict[str, Any]:
    """Return the Secret of a simulated meter."""
    labels = {
        "app.kubernetes.io/name": "metertwin-meter",
        "app.kubernetes.io/managed-by": "kubectl-meter",
        LABEL_DEVICE: device,
        LABEL_ROLE: ROLE_METER,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": build_meter_secret(device), "labels": labels},
        "type": "Opaque",
        "data": {name: base64.b64encode(data).decode() for name, data in files.items()},
    }
