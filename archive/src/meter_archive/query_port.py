"""Answers questions over HTTP, each noted in the audit before its answer is given.

On 127.0.0.1:8081 they come by `kubectl port-forward`, RBAC decides and everything may be seen; on
8443 by bearer token over TLS. An answer whose note cannot be written is not given. Neighbours:
`answering` (one question), `token_identity` (who asks), `gate` (how many at once), `audit`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
from aiohttp import web

from meter_archive import figures
from meter_archive.answering import Answer, Router, build_refusal
from meter_archive.audit import Note, describe_parameters, describe_route
from meter_archive.audit_table import insert_note
from meter_archive.database import Pool
from meter_archive.gate import Allowance, Gate
from meter_archive.refusal import Refusal
from meter_archive.scope import Scope
from meter_archive.tokens import hide_tokens

log = logging.getLogger("meter_archive.access")
AT_ONCE = 96
AT_ONCE_EACH = 24
TURNED_AWAY_NOTED = 30
"""A minute, of each asker: more refusals for being too many, or unknown, are only counted."""
MOST_BODY = 65536
_NOTE_LIMIT_S = 10
_TURNED_AWAY = (401, 429)
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

Identify = Callable[[web.Request], Awaitable[Scope]]
"""Says who asks; refuses with a `Refusal`."""


async def identify_forward(request: web.Request) -> Scope:
    """Return the scope of one who got here by a port-forward: everything.

    Raises:
        Refusal: a page of a browser asks, by a name that leads here.
    """
    if request.url.host not in _LOCAL:
        raise Refusal(403, "Host", "is not this machine", "ask http://127.0.0.1")
    return Scope("port-forward", everything=True)


class QueryPort:
    """A port with all questions, for those whom `identify` knows."""

    def __init__(
        self,
        pool: Pool,
        identify: Identify,
        *,
        writing: "Pool | None" = None,
        operators: bool = False,
        at_once: int = AT_ONCE,
        at_once_each: int = AT_ONCE_EACH,
    ) -> None:
        """Ask one database connection, note through the other if there is one."""
        self._writing = writing or pool
        self._identify = identify
        self._router = Router(pool, self._writing, operators=operators)
        self._gate = Gate(at_once, at_once_each if not operators else at_once)
        self._noted = Allowance(TURNED_AWAY_NOTED, 60, 4096)

    def build(self) -> web.Application:
        """Return the application."""
        application = web.Application(client_max_size=MOST_BODY)
        application.router.add_route("*", "/{path:.*}", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.Response:
        """Answer or refuse one request."""
        note = Note(
            datetime.now(UTC),
            "",
            request.remote or "",
            describe_route(request.method, request.rel_url.raw_path),
            describe_parameters(request.query.items()),
        )
        try:
            with self._gate.enter():
                scope = await self._identify(request)
                note = note._replace(who=scope.name)
                with self._gate.enter_as(scope.name):
                    answer, said = await self._router.ask(request, scope)
                    if said:
                        parameters = [*request.query.items(), *said]
                        note = note._replace(parameters=describe_parameters(parameters))
        except Refusal as refusal:
            answer = build_refusal(refusal)
            note = note._replace(who=note.who or refusal.who)
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            answer = _away(error)
        if not await self._note(note._replace(status=answer.status, shown=answer.shown)):
            answer = build_refusal(
                Refusal(503, "", "the question cannot be noted, so it is not answered", "ask again",
                        headers={"Retry-After": "5"})
            )  # fmt: skip
        figures.QUESTIONS.labels(str(answer.status)).inc()
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers=_HEADERS | {"Content-Type": answer.content_type} | answer.headers,
        )

    async def _note(self, note: Note) -> bool:
        """Write a note; return False if it could not be."""
        turned_away = note.status in _TURNED_AWAY or (note.status == 503 and not note.who)  # noqa: PLR2004
        key = f"{note.who} {note.address}"
        if turned_away and not self._noted.spend(key, time.monotonic()):
            figures.UNNOTED.inc()
            return True
        log.info("%s %s: %s", note.who or "somebody", hide_tokens(note.route), note.status)
        try:
            async with asyncio.timeout(_NOTE_LIMIT_S):
                await insert_note(self._writing, note)
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            log.warning("not noted, so not answered: %s", type(error).__name__)
            return False
        return True


def _away(error: BaseException) -> Answer:
    log.warning("no answer: %s", type(error).__name__)
    headers = {"Retry-After": "5"}
    return build_refusal(
        Refusal(503, "", "the database does not answer", "ask again", headers=headers)
    )
