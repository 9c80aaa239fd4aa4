"""Port 8444: whose request it is, and the answers of those that are not granted, all counted.

Neighbours: `ingest_port` and `entries_port` (the routes), `twin_identity` (the certificate).
"""

import random

from aiohttp import web

from meter_archive import figures
from meter_archive.twin_identity import Twin, find_twin

_RETRY_S = (2, 10)


def twin_of(request: web.Request) -> Twin | None:
    """Return whose certificate the request came with, None if it is no twin's."""
    transport = request.transport
    certificate = None if transport is None else transport.get_extra_info("peercert")
    return find_twin(certificate or {})


def refuse(status: int, message: str) -> web.Response:
    """Return the answer of a request that is wrong."""
    figures.REFUSED.labels(str(status)).inc()
    return web.json_response({"error": message}, status=status)


def later(reason: str, remedy: str) -> web.Response:
    """Return the answer of a request that is to come again: the database is `busy` or `away`."""
    figures.POSTPONED.labels(reason).inc()
    pause_s = random.randint(*_RETRY_S)  # noqa: S311 - spreads the twins, no secret
    return web.json_response(
        {"error": f"database: {reason}; {remedy}"},
        status=503,
        headers={"Retry-After": str(pause_s)},
    )
