"""On port 8444: a twin whose store is new is given back what its meter's twins have given.

    GET /v1/entries?since=<UTC seconds>                          200 what there is
    GET /v1/entries/<incarnation>?from=<number>&until=<number>   200 a page
    400 names what is wrong · 403 no twin's certificate · 404 no such incarnation of this device
    409 a higher epoch has given entries · 503 with Retry-After: ask again later

A reader makes nobody's epoch old: only who gives does. Readers never keep givers waiting: few ask
the database at once, and few more wait. A twin whose clock is ahead by all that it keeps is
refused: it would take the empty answer for the truth, and never ask again. Neighbours:
`meter_wire.archive_page` (bodies), `given_pages` (reads), `ingest_port` (the port's other routes).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
from aiohttp import web
from meter_wire.archive_page import PATH, encode_holdings, encode_page
from meter_wire.names import MAX_SEQ

from meter_archive import figures
from meter_archive.database import UNAVAILABLE, Pool
from meter_archive.given_pages import NoIncarnationError, load_holdings, load_page
from meter_archive.group import RetiredEpochError
from meter_archive.ingest_answers import later, refuse, twin_of
from meter_archive.twin_identity import Twin

MOST_AT_ONCE = 4
MOST_WAITING = 32
_INCARNATION = re.compile(r"[0-9a-f]{16}")
_LAST_S = 0xFFFF_FFFF
_MOST_DIGITS = 10
_AGAIN = "ask again"

Asked = Callable[[Twin, web.Request], Awaitable[web.Response]]


class _FieldError(ValueError):
    """A part of the request is wrong."""


class EntriesPort:
    """The handlers of these routes."""

    def __init__(self, pool: Pool) -> None:
        """Read over these connections."""
        self._pool = pool
        self._gate = asyncio.Semaphore(MOST_AT_ONCE)
        self._waiting = 0

    def add_to(self, application: web.Application) -> None:
        """Add the routes."""
        application.router.add_get(PATH, self.tell)
        application.router.add_get(PATH + "/{incarnation}", self.give)

    async def tell(self, request: web.Request) -> web.Response:
        """Tell a twin what there is of its meter."""
        return await self._serve(request, self._tell)

    async def give(self, request: web.Request) -> web.Response:
        """Give a twin a page of its meter's entries."""
        return await self._serve(request, self._give)

    async def _serve(self, request: web.Request, answer: Asked) -> web.Response:
        twin = twin_of(request)
        if twin is None:
            return refuse(403, "certificate: is not that of a twin")
        if self._waiting >= MOST_WAITING:
            return later("busy", _AGAIN)
        self._waiting += 1
        try:
            async with self._gate:
                return await answer(twin, request)
        except _FieldError as error:
            return refuse(400, str(error))
        except NoIncarnationError as error:
            return refuse(404, f"incarnation: {error} is none of this device's")
        except RetiredEpochError as error:
            return refuse(409, f"epoch: {error}")
        except (*UNAVAILABLE, asyncpg.PostgresError):
            return later("away", _AGAIN)
        finally:
            self._waiting -= 1

    async def _tell(self, twin: Twin, request: web.Request) -> web.Response:
        since = datetime.fromtimestamp(_find_number(request, "since", 0, _LAST_S), UTC)
        if since > datetime.now(UTC):
            raise _FieldError("since: is in the future; set the clock of the twin or the archive")
        holdings = await load_holdings(self._pool, twin, since)
        return web.json_response(encode_holdings(holdings))

    async def _give(self, twin: Twin, request: web.Request) -> web.Response:
        incarnation = request.match_info["incarnation"]
        if not _INCARNATION.fullmatch(incarnation):
            raise _FieldError("incarnation: is not 16 hexadecimal digits")
        first = _find_number(request, "from", 1, MAX_SEQ)
        until = _find_number(request, "until", first, MAX_SEQ)
        page = await load_page(self._pool, twin, bytes.fromhex(incarnation), first, until)
        figures.RETURNED.inc(len(page.entries))
        return web.Response(body=encode_page(page), content_type="application/octet-stream")


def _find_number(request: web.Request, name: str, least: int, most: int) -> int:
    text = request.query.get(name, "")
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    if not is_number or not least <= int(text) <= most:
        raise _FieldError(f"{name}: {text[:20]!r} is no number from {least} to {most}")
    return int(text)
