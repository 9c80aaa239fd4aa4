"""Asks a twin as another twin does, one question after the other: milliseconds as a JSON list.

    peer_ask.py ADDRESS:PORT DEVICE NAMESPACE FOLDER COUNT OCTETS

It is the twin's own client (`meter_twin.peer_client`) over one open connection with mutual TLS 1.3;
FOLDER holds ca.crt, tls.crt and tls.key of another device's twin. The question is `/v1/identity`
with OCTETS octets of payload; five are not counted. What fails is null.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from meter_twin.dialing import tls_context
from meter_twin.peer_client import PeerClient, PeerError
from meter_twin.taking import Donor

UNCOUNTED = 5


async def ask(client: PeerClient, donor: Donor, path: str) -> float | None:
    """Return the milliseconds of one question."""
    begun = time.perf_counter()
    try:
        await client.get(donor, path)
    except PeerError:
        return None
    return (time.perf_counter() - begun) * 1000


async def main() -> None:
    """Ask and print."""
    address, device, namespace, folder, count, octets = sys.argv[1:]
    files = [Path(folder) / name for name in ("ca.crt", "tls.crt", "tls.key")]
    context = tls_context(*files)
    client = PeerClient(device, namespace, lambda: context)
    path = "/v1/identity?payload=" + "x" * int(octets)
    donor = Donor(1, b"", address)
    found = [await ask(client, donor, path) for _ in range(int(count) + UNCOUNTED)]
    await client.close()
    print(json.dumps(found[UNCOUNTED:]))


asyncio.run(main())
