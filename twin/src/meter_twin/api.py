"""The local JSON API on 127.0.0.1:8081: reads and commands (docs/reference/contracts.md).

Reached by `kubectl port-forward`, so who may is decided by Kubernetes. Neighbours: `listing`,
`queries`, `application_host` (queries of applications), `api_commands` (live read, forward, load,
orders).
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from . import __version__
from .api_commands import Commands
from .application import QueryError
from .application_host import ApplicationHost
from .configuration import Configuration
from .export import Exporter
from .http_server import ApiError, Request, Response, json_response
from .link_loop import LinkLoop
from .listing import list_entries
from .queries import check_names, find_time, parse_cursor, parse_integer
from .register_units import Units
from .store import Store
from .store_queries import Filter, count_entries, load_holes
from .tables_of_link import HOLE_REASONS

_WINDOW = "since until limit after"
_KINDS = {"readings": 1, "events": 2}
MOST_ENTRIES = 10_000

Route = Callable[[Request], Awaitable[Response]]


class Api:
    """Routes of the local port."""

    def __init__(
        self,
        configuration: Configuration,
        store: Store,
        host: ApplicationHost,
        loop: LinkLoop,
        commands: Commands,
        exporter: Exporter,
        describe: Callable[[], dict[str, Any]],
        units: Units,
    ) -> None:
        """`describe` gives the process's part of /v1/status; `units`: as the meter said."""
        self._device = configuration.device
        self._store = store
        self._host = host
        self._loop = loop
        self._exporter = exporter
        self._describe = describe
        self._shown = configuration.registers
        self._units = units
        self._commands = commands
        self._routes: dict[tuple[str, str], Route] = {
            ("GET", "/v1/readings"): self._list,
            ("GET", "/v1/events"): self._list,
            ("GET", "/v1/status"): self._status,
            ("GET", "/v1/gaps"): self._gaps,
            ("GET", "/v1/export"): self._export,
            ("GET", "/v1/registers"): self._registers,
            ("POST", "/v1/forward"): commands.forward,
            ("POST", "/v1/load"): commands.load,
            ("POST", "/v1/order"): commands.order,
            ("GET", "/v1/calendar"): commands.calendar,
        }

    def serve_ems(self, desk: Any) -> None:
        """Let people see what the home's energy management is told, and override for it.

        `desk`: an `EmsDesk`, whose type would load it in a twin without a utility too.
        """

        async def describe(request: Request) -> Response:
            check_names(request.query, "")
            return json_response(desk.describe())

        async def override(request: Request) -> Response:
            answer: Response = desk.override(request)
            return answer

        self._routes["GET", "/v1/ems"] = describe
        self._routes["POST", "/v1/ems/override"] = override

    async def handle(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            ApiError: the error body that the client gets.
        """
        route = self._routes.get((request.method, request.path))
        try:
            if route is not None:
                return await route(request)
            if any(path == request.path for _, path in self._routes):
                raise ApiError(405, "method", "is not allowed here", "see the API's reference")
            if request.method == "GET" and request.path.startswith("/v1/"):
                return self._query(request.path[4:], request.query)
        except QueryError as error:
            raise ApiError(400, error.field, error.message, error.remedy) from error
        raise ApiError(404, "path", "is unknown", "see the reference of the API")

    async def _list(self, request: Request) -> Response:
        name = request.path[4:]
        check_names(request.query, _WINDOW)
        now_s = int(time.time())
        wanted = Filter(
            _KINDS[name],
            find_time(request.query, "since", now_s),
            find_time(request.query, "until", now_s),
        )
        after = parse_cursor(request.query.get("after"))
        limit = parse_integer(request.query, "limit", 1000, 1, MOST_ENTRIES)
        pieces = list_entries(
            self._store, name, wanted, after, limit=limit, units=self._units, shown=self._shown
        )
        return Response(200, pieces=pieces)

    def _query(self, name: str, parameters: dict[str, str]) -> Response:
        try:
            document = self._host.answer(name, parameters, int(time.time()))
        except LookupError as error:
            raise ApiError(
                404,
                "path",
                "is answered by no selected application",
                "select the application that answers it, see crds/catalogue.json",
            ) from error
        return json_response(document)

    async def _registers(self, request: Request) -> Response:
        check_names(request.query, "live timeout code")
        parameters = {name: text for name, text in request.query.items() if name == "code"}
        live, found = None, None
        if request.query.get("live") in {"1", "true"}:
            timeout_s = parse_integer(request.query, "timeout", 5, 1, 30)
            live, found = await self._commands.read_live(parameters.get("code"), timeout_s)
        if found is None:
            found = self._host.answer_or_none("registers", parameters, int(time.time()))
        if found is None:
            raise ApiError(
                404, "path", "needs the application metering-data", "select metering-data"
            )
        shown = self._select(found, parameters)
        return json_response({"device": self._device, "live": live, **shown})

    def _select(self, document: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
        """Leave out registers that are not to be shown, unless one was asked for by its code."""
        if self._shown and "code" not in parameters:
            registers = document["registers"].items()
            document["registers"] = {code: one for code, one in registers if code in self._shown}
        return document

    async def _gaps(self, request: Request) -> Response:
        check_names(request.query, "from to")
        derived = self._host.answer_or_none("gaps", request.query, int(time.time())) or {}
        holes = [
            {
                "incarnation": incarnation.hex(),
                "first": hole.first,
                "last": hole.last,
                "reason": HOLE_REASONS.get(hole.reason, str(hole.reason)),
            }
            for incarnation, hole in load_holes(self._store)
        ]
        return json_response({"holes": holes, **derived})

    async def _export(self, request: Request) -> Response:
        check_names(request.query, "since until after")
        now_s = int(time.time())
        window = Filter(
            1,
            find_time(request.query, "since", now_s),
            find_time(request.query, "until", now_s),
        )
        return json_response(
            self._exporter.export(window, parse_cursor(request.query.get("after")))
        )

    async def _status(self, request: Request) -> Response:
        check_names(request.query, "")
        loop = self._loop
        marks = [
            {"incarnation": key.hex(), "stored": one.stored, "archived": one.archived}
            for key, one in self._store.marks().items()
        ]
        document = {
            "device": self._device,
            "version": __version__,
            "store": self._store.store_id.hex(),
            "session": loop.link.is_open,
            "encrypted": loop.link.is_encrypted,
            "firmware": loop.firmware,
            "marks": marks,
            "entries": count_entries(self._store),
            "holes": len(load_holes(self._store)),
            "conflicts": self._store.find_property("conflicts") or 0,
            "conflictsUnkept": self._store.unkept_conflicts,
            "chainBreaks": loop.figures.chain_breaks,
            "framesDropped": loop.figures.frames_dropped,
            "refused": dict(loop.link.refused),
            "storeFault": loop.store_fault or None,
            "applicationsStopped": self._host.failed,
            **self._describe(),
        }
        return json_response(document)
