"""Make what an installation lacks: authority, fleet key, certificates. What exists is kept.

While the CA is rotated there are two anchors, and everybody is given both; a former CA is judged
here, but given to nobody (`authorities`).
The decision is `ensure_installation`, over a small port that `cluster_secrets` implements; tests
use a dictionary. Certificates of broker, operator and archive are renewed when one third is left.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from meter_wire.names import (
    CA_SECRET,
    FLEET_KEY_FIELD,
    FLEET_KEY_SECRET,
    TRUST_CONFIG_MAP,
    TRUST_FIELD,
)

from meter_pki.authorities import Authorities, load_authorities
from meter_pki.authority import Authority, CredentialError, is_issued_by, renewal_due
from meter_pki.identities import Identity, broker_identity, operator_identity

OPERATOR_SECRET = "metertwin-operator-tls"  # noqa: S105 - a name
BROKER_SECRET = "metertwin-mosquitto-tls"  # noqa: S105 - a name
TLS = "kubernetes.io/tls"
FLEET_KEY_BYTES = 32


class Secrets(Protocol):
    """Where Secrets live."""

    def find_secret(self, name: str) -> dict[str, bytes] | None:
        """Return its data, or None."""

    def create_secret(self, name: str, kind: str, data: dict[str, bytes]) -> bool:
        """Create it; False when it exists."""

    def replace_secret(self, name: str, data: dict[str, bytes]) -> None:
        """Replace its data."""

    def ensure_config_map(self, name: str, data: dict[str, str]) -> None:
        """Create it or replace its data."""


def _ensure_authority(store: Secrets, now: datetime, name: str) -> tuple[Authorities, bool]:
    if store.find_secret(name) is None:
        made = Authority.create(now)
        data = {"tls.crt": made.certificate_pem, "tls.key": made.key_pem}
        if store.create_secret(name, TLS, data):
            return Authorities(made), True
    found = store.find_secret(name)
    if not found or not {"tls.crt", "tls.key"} <= found.keys():
        raise CredentialError(f"Secret {name}: needs tls.crt and tls.key")
    try:
        return load_authorities(found), False
    except CredentialError as error:
        raise CredentialError(f"Secret {name}, {error}") from None


def _ensure_fleet_key(store: Secrets, name: str) -> bool:
    found = store.find_secret(name)
    if found is None:
        data = {FLEET_KEY_FIELD: secrets.token_bytes(FLEET_KEY_BYTES)}
        return store.create_secret(name, "Opaque", data)
    if len(found.get(FLEET_KEY_FIELD, b"")) != FLEET_KEY_BYTES:
        raise CredentialError(
            f"Secret {name}: key {FLEET_KEY_FIELD!r} must hold {FLEET_KEY_BYTES} bytes"
        )
    return False


def _ensure_certificate(
    store: Secrets, authorities: Authorities, name: str, identity: Identity, now: datetime
) -> str:
    found = store.find_secret(name)
    current = (found or {}).get("tls.crt", b"")
    authority, trusted = authorities.signing, authorities.trusted_pem
    if found and current and not renewal_due(current, now) and is_issued_by(current, authority):
        if found.get("ca.crt") == trusted:
            return "kept"
        store.replace_secret(name, {**found, "ca.crt": trusted})
        return "kept, with other anchors"
    bundle = authority.issue(identity, now)
    data = {"tls.crt": bundle.certificate, "tls.key": bundle.key}
    data["ca.crt"] = trusted
    if found is None:
        store.create_secret(name, TLS, data)
        return "made"
    store.replace_secret(name, data)
    return "renewed"


def ensure_installation(
    store: Secrets,
    namespace: str,
    now: datetime,
    *,
    ca_secret: str = CA_SECRET,
    fleet_key_secret: str = FLEET_KEY_SECRET,
    operator_secret: str = OPERATOR_SECRET,
    broker_secret: str = BROKER_SECRET,
    trust: str = TRUST_CONFIG_MAP,
    broker_hosts: tuple[str, ...] = (),
    also: Mapping[str, Identity] | None = None,
) -> list[str]:
    """Make what is missing and return one line about each part.

    `also`: further Secrets with a certificate, and whose it is.

    Raises:
        CredentialError: an existing Secret cannot be used; nothing was overwritten.
    """
    authorities, made = _ensure_authority(store, now, ca_secret)
    lines = [f"certificate authority {ca_secret}: {'made' if made else 'kept'}"]
    fleet = _ensure_fleet_key(store, fleet_key_secret)
    lines.append(f"fleet key {fleet_key_secret}: {'made' if fleet else 'kept'}")
    store.ensure_config_map(trust, {TRUST_FIELD: authorities.trusted_pem.decode()})
    for name, identity in (
        (operator_secret, operator_identity()),
        (broker_secret, broker_identity(namespace, extra=broker_hosts)),
        *(also or {}).items(),
    ):
        if name:
            what = _ensure_certificate(store, authorities, name, identity, now)
            lines.append(f"certificate {name}: {what}")
    return lines
