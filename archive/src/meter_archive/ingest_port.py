"""Port 8444: twins give their batches over mutual TLS; the certificate says who gives.

    POST /v1/batches/<incarnation>      200 {"archived", "new", "duplicates", "conflicts"}
    400 names what is wrong · 403 no twin's certificate · 409 a higher epoch has given entries
    413 too large · 503 with Retry-After: give it again later, nothing is lost

Neighbours: `meter_wire.archive_batch` (bodies), `writer` (makes them durable), `entries_port` (the
other routes of the port: what was given is given back).
"""

import _ssl
import re
import ssl
from pathlib import Path

from aiohttp import web
from meter_wire.archive_batch import MOST_BODY, PATH, encode_answer, parse_batch

from meter_archive import figures
from meter_archive.entries_port import EntriesPort
from meter_archive.group import Given, RetiredEpochError
from meter_archive.ingest_answers import later, refuse, twin_of
from meter_archive.writer import AwayError, BusyError, PoisonError, Writer

_INCARNATION = re.compile(r"[0-9a-f]{16}")
_AGAIN = "give the batch again"


class IngestPort:
    """The handlers of the port."""

    def __init__(self, writer: Writer, entries: EntriesPort) -> None:
        """Submit batches to this writer; `entries` has the other routes."""
        self._writer = writer
        self._entries = entries

    def build(self) -> web.Application:
        """Return the application."""
        application = web.Application(client_max_size=MOST_BODY + 1)
        application.router.add_post(PATH + "{incarnation}", self.take)
        self._entries.add_to(application)
        return application

    async def take(self, request: web.Request) -> web.Response:
        """Take one batch."""
        twin = twin_of(request)
        if twin is None:
            return refuse(403, "certificate: is not that of a twin")
        incarnation = request.match_info["incarnation"]
        if not _INCARNATION.fullmatch(incarnation):
            return refuse(400, "incarnation: is not 16 hexadecimal digits")
        try:
            body = await request.read()
            batch = parse_batch(body)
        except web.HTTPRequestEntityTooLarge:
            return refuse(413, f"batch: has more than {MOST_BODY} bytes")
        except ValueError as error:
            return refuse(400, str(error))
        given = Given(twin.device, twin.epoch, bytes.fromhex(incarnation), batch)
        try:
            answer = await self._writer.submit(given, len(body))
        except RetiredEpochError as error:
            return refuse(409, f"epoch: {error}")
        except (BusyError, AwayError) as error:
            return later("busy" if isinstance(error, BusyError) else "away", _AGAIN)
        except PoisonError:
            return refuse(400, "batch: cannot be written; see the archive's log")
        figures.count(answer)
        return web.json_response(encode_answer(answer))


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
