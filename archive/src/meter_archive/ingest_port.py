"""Port 8444: twins give their batches over mutual TLS; the certificate says who gives.

    POST /v1/batches/<incarnation>      200 {"archived", "new", "duplicates", "conflicts"}
    400 names what is wrong · 403 no twin's certificate · 409 a higher epoch has given entries
    413 too large · 503 with Retry-After: give it again later, nothing is lost

Neighbours: `meter_wire.archive_batch` (bodies), `writer` (makes them durable), `twin_identity`.
"""

import _ssl
import random
import re
import ssl
from pathlib import Path

import asyncpg
from aiohttp import web
from meter_wire.archive_batch import MOST_BODY, PATH, encode_answer, parse_batch

from meter_archive import figures
from meter_archive.group import Given, RetiredEpochError
from meter_archive.twin_identity import Twin, find_twin
from meter_archive.writer import AwayError, BusyError, Writer

_INCARNATION = re.compile(r"[0-9a-f]{16}")
_RETRY_S = (2, 10)


class IngestPort:
    """The handlers of the port."""

    def __init__(self, writer: Writer) -> None:
        """Submit batches to this writer."""
        self._writer = writer

    def build(self) -> web.Application:
        """Return the application."""
        application = web.Application(client_max_size=MOST_BODY + 1)
        application.router.add_post(PATH + "{incarnation}", self.take)
        return application

    async def take(self, request: web.Request) -> web.Response:
        """Take one batch."""
        twin = _twin_of(request)
        if twin is None:
            return _refuse(403, "certificate: is not that of a twin")
        incarnation = request.match_info["incarnation"]
        if not _INCARNATION.fullmatch(incarnation):
            return _refuse(400, "incarnation: is not 16 hexadecimal digits")
        body = await request.read()
        try:
            batch = parse_batch(body)
        except ValueError as error:
            return _refuse(400, str(error))
        given = Given(twin.device, twin.epoch, bytes.fromhex(incarnation), batch)
        try:
            answer = await self._writer.submit(given, len(body))
        except RetiredEpochError as error:
            return _refuse(409, f"epoch: {error}")
        except (BusyError, AwayError) as error:
            return _later(error)
        except asyncpg.PostgresError:
            return _refuse(400, "batch: the database refuses it; see the archive's log")
        figures.count(answer)
        return web.json_response(encode_answer(answer))


def _twin_of(request: web.Request) -> Twin | None:
    transport = request.transport
    certificate = None if transport is None else transport.get_extra_info("peercert")
    return find_twin(certificate or {})


def _refuse(status: int, message: str) -> web.Response:
    figures.REFUSED.labels(str(status)).inc()
    return web.json_response({"error": message}, status=status)


def _later(error: Exception) -> web.Response:
    reason = "busy" if isinstance(error, BusyError) else "away"
    figures.POSTPONED.labels(reason).inc()
    pause_s = random.randint(*_RETRY_S)  # noqa: S311 - spreads the twins, no secret
    return web.json_response(
        {"error": f"database: {reason}; give the batch again"},
        status=503,
        headers={"Retry-After": str(pause_s)},
    )


def read_expiry(certificate: Path) -> float:
    """Return when a certificate ends, in UTC seconds.

    Raises:
        OSError, ssl.SSLError: it is missing or is none.
    """
    # OpenSSL's own reading of the file; ssl offers it for certificates of peers only
    document = _ssl._test_decode_cert(str(certificate))  # type: ignore[attr-defined]  # noqa: SLF001
    return ssl.cert_time_to_seconds(document["notAfter"])


def build_context(tls: Path, trust: Path, *, clients: bool) -> ssl.SSLContext:
    """Return the context of a port; with `clients` one that lets only certificates of ours in.

    Raises:
        OSError, ssl.SSLError: a file is missing or is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
    if clients:
        context.load_verify_locations(trust)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
