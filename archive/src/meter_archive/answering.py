"""Answers one question of an asker that is known: JSON, CSV, or why not.

Neighbours: `queries` (who answers what), `query_port` (who asks, and that it is noted).
"""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
from aiohttp import web

from meter_archive.audit import Shown, find_shown
from meter_archive.csv_answer import CONTENT_TYPE, build_csv
from meter_archive.database import Pool
from meter_archive.queries import Asked, Json, Query, list_queries, split_route
from meter_archive.query_error import QueryError
from meter_archive.refusal import Refusal
from meter_archive.scope import Scope

log = logging.getLogger("meter_archive.access")
LONGEST_S = 25
MOST_ANSWER = 32 * 1024 * 1024
MOST_PARAMETERS = 32
MOST_TEXT = 1024
_JSON = "application/json; charset=utf-8"
_FORMATS = ("json", "csv")

Pairs = Sequence[tuple[str, Any]]


class Answer(NamedTuple):
    """What is sent, and what of the fleet it shows."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str]
    shown: Shown = Shown()


class Router:
    """Finds the question of a path and has it answered."""

    def __init__(self, pool: Pool, writing: Pool, *, operators: bool) -> None:
        """Ask `pool`; what changes something, or asks for the audit, uses `writing`."""
        self._pool, self._writing = pool, writing
        self._routes = {
            split_route(route): query
            for route, query in list_queries().items()
            if operators or not query.operators
        }

    async def ask(self, request: web.Request, scope: Scope) -> tuple[Answer, Pairs]:
        """Return the answer or refusal, and what the body said, for the audit."""
        said: Pairs = ()
        try:
            query = self._find(request)
            pairs, form = _parse(request, query)
            body = await _read_body(request) if query.body is not None else {}
            said = tuple(body.items())
            asked = Asked(pairs, scope, int(time.time()), body)
            pool = self._writing if query.operators else self._pool
            async with asyncio.timeout(LONGEST_S):
                document = await query.ask(pool, asked)
            return _build(document, query, form), said
        except Refusal as error:
            return build_refusal(error), said
        except QueryError as error:
            return _refuse(400, error.field, error.message, error.remedy), said
        except LookupError as error:
            return _not_known(error), said
        except Exception as error:  # noqa: BLE001 - a bug is an answer too, and is noted
            return _explain(error), said

    def _find(self, request: web.Request) -> Query:
        path = request.rel_url.raw_path
        found = self._routes.get((request.method, path))
        if found is not None:
            return found
        methods = sorted(method for method, known in self._routes if known == path)
        if methods:
            headers = {"Allow": ", ".join(methods)}
            remedy = f"use {headers['Allow']}"
            raise Refusal(405, "method", "is not known of this path", remedy, headers=headers)
        raise Refusal(404, "path", "is unknown here", "see /v1/openapi.json")


def _parse(request: web.Request, query: Query) -> tuple[list[tuple[str, str]], str]:
    """Return parameters that a database may be asked with, and the form of the answer."""
    pairs = list(request.query.items())
    if len(pairs) > MOST_PARAMETERS:
        raise QueryError("query", f"has more than {MOST_PARAMETERS} parameters", "leave some out")
    for name, value in pairs:
        for text in (name, value):
            if "\0" in text or text.encode(errors="replace").decode() != text:
                raise QueryError(_shorten(name), "has a character that no text has", "leave it out")
            if len(text) > MOST_TEXT:
                what = f"is longer than {MOST_TEXT} characters"
                raise QueryError(_shorten(name), what, "write a shorter one")
    form = "csv" if "text/csv" in request.headers.get("Accept", "") and query.rows else "json"
    if not query.rows:
        return pairs, form
    given = [value for name, value in pairs if name == "format"]
    if len(given) > 1 or any(one not in _FORMATS for one in given):
        raise QueryError("format", "is not known", f"write one of {', '.join(_FORMATS)}")
    return [pair for pair in pairs if pair[0] != "format"], given[0] if given else form


def _shorten(name: str) -> str:
    return name[:64].encode("ascii", "backslashreplace").decode()


async def _read_body(request: web.Request) -> Json:
    # A page of a browser cannot send this type to another's port without asking that first.
    if request.content_type != "application/json":
        raise Refusal(415, "body", "is no JSON", "send Content-Type: application/json")
    try:
        document = json.loads(await request.read())
    except web.HTTPRequestEntityTooLarge:
        raise Refusal(413, "body", "is too large", "send less") from None
    except (ValueError, RecursionError):
        raise QueryError("body", "is no JSON", "send an object") from None
    if not isinstance(document, dict):
        raise QueryError("body", "is no object", "send an object")
    return document


def _build(document: Json, query: Query, form: str) -> Answer:
    if form == "csv":
        body, kind = build_csv(document, query.answer, query.rows).encode(), CONTENT_TYPE
    else:
        body, kind = json.dumps(document, separators=(",", ":")).encode(), _JSON
    if len(body) > MOST_ANSWER:
        what = f"would have more than {MOST_ANSWER // 1024 // 1024} MiB"
        return _refuse(400, "", f"the answer {what}", "ask for less at once")
    return Answer(200, body, kind, {}, find_shown(document))


def build_refusal(error: Refusal) -> Answer:
    """Return the answer of a refusal."""
    return _refuse(error.status, error.field, error.message, error.remedy, error.headers)


def _refuse(
    status: int, field: str, message: str, remedy: str, headers: dict[str, str] | None = None
) -> Answer:
    document = {"error": {"field": field, "message": message, "remedy": remedy}}
    return Answer(status, json.dumps(document).encode(), _JSON, headers or {})


def _not_known(error: LookupError) -> Answer:
    if isinstance(error, KeyError | IndexError):
        return _explain(error)
    remedy = "the archive knows meters since it was enabled: kubectl get smartmeters"
    return _refuse(404, "", f"{error.args[0]} is not known for that time", remedy)


def _explain(error: Exception) -> Answer:
    if isinstance(error, TimeoutError | asyncpg.QueryCanceledError):
        return _refuse(504, "", f"it took more than {LONGEST_S} s", "ask for less at once")
    if isinstance(error, asyncpg.DataError):
        return _refuse(400, "query", "has a value that no database takes", "see the parameters")
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.PostgresError):
        log.warning("no answer: %s", type(error).__name__)
        headers = {"Retry-After": "5"}
        return _refuse(503, "", "the database does not answer", "ask again", headers)
    # Its text might hold a reading or a name: where it happened is enough.
    where = traceback.extract_tb(error.__traceback__)[-1]
    log.error("no answer: %s in %s:%s", type(error).__name__, where.filename, where.lineno)
    return _refuse(500, "", "the archive failed", "tell its operator: its log says where")
