"""Answers questions over HTTP. On 127.0.0.1:8081 they come by `kubectl port-forward`: RBAC decides.

Every question is noted in the log, without a value of a meter. Neighbours: `queries`, `scope`.
"""

import logging
import time
from collections.abc import Awaitable, Callable

import asyncpg
from aiohttp import web

from meter_archive.database import Pool
from meter_archive.queries import Asked, Query, list_queries
from meter_archive.query_error import QueryError
from meter_archive.scope import Scope

log = logging.getLogger("meter_archive.access")
_AWAY = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)

Identify = Callable[[web.Request], Awaitable[Scope]]
"""Says who asks; refuses with an `HTTPException`."""


async def identify_forward(_request: web.Request) -> Scope:
    """Return the scope of one who got here by a port-forward: everything."""
    return Scope("port-forward", everything=True)


class QueryPort:
    """A port with all questions, for those whom `identify` knows."""

    def __init__(self, pool: Pool, identify: Identify) -> None:
        """Ask this database."""
        self._pool = pool
        self._identify = identify

    def build(self) -> web.Application:
        """Return the application."""
        application = web.Application()
        for path, query in list_queries().items():
            application.router.add_get(path, self._handler(query))
        return application

    def _handler(self, query: Query) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            scope = await self._identify(request)
            return await self._answer(request, query, scope)

        return handle

    async def _answer(self, request: web.Request, query: Query, scope: Scope) -> web.Response:
        asked = Asked(list(request.query.items()), scope, int(time.time()))
        try:
            document = await query(self._pool, asked)
        except QueryError as error:
            return _refuse(400, error.field, error.message, error.remedy)
        except LookupError as error:
            remedy = "the archive knows meters since it was enabled: kubectl get smartmeters"
            return _refuse(404, "", f"{error.args[0]} is not known for that time", remedy)
        except _AWAY as error:
            log.warning("no answer: %s", type(error).__name__)
            return _refuse(503, "", "the database does not answer", "ask again")
        log.info("%s asked %s with %s", scope.name, request.path, sorted(request.query))
        return web.json_response(document)


def _refuse(status: int, field: str, message: str, remedy: str) -> web.Response:
    document = {"error": {"field": field, "message": message, "remedy": remedy}}
    return web.json_response(document, status=status)
