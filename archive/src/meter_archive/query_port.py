"""Port 8081 of loopback: questions by `kubectl port-forward`, so that RBAC decides who may ask.

    GET /v1/history?meter=NAME|point=P|device=D&register=1.8.0&from=…&to=…&every=1d

Every question is noted in the log, without a value of a meter. Neighbours: `question`, `history`.
"""

import logging
import time

import asyncpg
from aiohttp import web

from meter_archive.database import Pool
from meter_archive.history import build_document, find_history
from meter_archive.query_error import QueryError
from meter_archive.question import parse_question

log = logging.getLogger("meter_archive.access")
_AWAY = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError)


class QueryPort:
    """The handlers of the port."""

    def __init__(self, pool: Pool) -> None:
        """Ask this database."""
        self._pool = pool

    def build(self) -> web.Application:
        """Return the application."""
        application = web.Application()
        application.router.add_get("/v1/history", self.history)
        return application

    async def history(self, request: web.Request) -> web.Response:
        """Answer `GET /v1/history`."""
        try:
            question = parse_question(list(request.query.items()))
            found = await find_history(self._pool, question, int(time.time()))
        except QueryError as error:
            return _refuse(400, error.field, error.message, error.remedy)
        except LookupError as error:
            remedy = "the archive knows meters since it was enabled: kubectl get smartmeters"
            return _refuse(404, "meter", f"{error.args[0]} is not known for that time", remedy)
        except _AWAY as error:
            log.warning("no answer: %s", type(error).__name__)
            return _refuse(503, "", "the database does not answer", "ask again")
        subject = question.subject
        log.info("history of %s %s every %s", subject.kind, subject.value, question.every)
        return web.json_response(build_document(question, found))


def _refuse(status: int, field: str, message: str, remedy: str) -> web.Response:
    document = {"error": {"field": field, "message": message, "remedy": remedy}}
    return web.json_response(document, status=status)
