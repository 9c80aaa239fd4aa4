"""The fleet's secrets in memory: certificate authority and fleet key; nothing prints them."""

import asyncio
import logging
from functools import lru_cache

from meter_pki.authorities import Authorities, load_authorities
from meter_pki.authority import Authority, CredentialError
from meter_wire.fleet_keys import derive_meter_key
from meter_wire.names import CA_SECRET, FLEET_KEY_FIELD, FLEET_KEY_SECRET

from meter_operator.cluster import Cluster

log = logging.getLogger(__name__)
MASTER_BYTES = 32


class Fleet:
    """What signs certificates and derives keys."""

    def __init__(self, authorities: Authorities, master: bytes) -> None:
        """Keep both; keys of meters are derived when needed."""
        self.authorities = authorities
        self.authority = authorities.signing
        self._derive = lru_cache(maxsize=20000)(
            lambda device, version: derive_meter_key(master, device, version)
        )

    def meter_key(self, device: str, version: int) -> bytes:
        """Return K_meter; it never leaves this process."""
        return self._derive(device, version)

    def __repr__(self) -> str:
        """Hide the secrets from any log."""
        return "Fleet(…)"


async def load_fleet(cluster: Cluster, namespace: str) -> Fleet:
    """Read the two Secrets, waiting until they are there and usable."""
    while True:
        pair = await cluster.read_secret(namespace, CA_SECRET) or {}
        master = (await cluster.read_secret(namespace, FLEET_KEY_SECRET) or {}).get(
            FLEET_KEY_FIELD, b""
        )
        if {"tls.crt", "tls.key"} <= pair.keys() and len(master) == MASTER_BYTES:
            return Fleet(_load(pair), master)
        log.warning(
            "waiting for Secrets %s (tls.crt, tls.key) and %s (master, 32 bytes)",
            CA_SECRET,
            FLEET_KEY_SECRET,
        )
        await asyncio.sleep(2)


def _load(pair: dict[str, bytes]) -> Authorities:
    """Return the CAs; what is wrong beside the one that signs hinders no meter but those of it."""
    try:
        return load_authorities(pair)
    except CredentialError as error:
        signing = Authority.load(pair["tls.crt"], pair["tls.key"])
        log.error(  # noqa: TRY400 - no trace wanted
            "Secret %s, %s: meters are renewed with certificates of the CA that signs alone, until"
            " it is put right and this process starts again",
            *(CA_SECRET, error),
        )
        return Authorities(signing)
