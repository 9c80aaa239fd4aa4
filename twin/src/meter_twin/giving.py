"""What a twin gives to the twins that follow it, on the mutual TLS port.

    GET /v1/handover/coverage                           what is held, and whether that is final
    GET /v1/handover/entries?incarnation=HEX&first=N    the entries of one block, as bytes
    GET /v1/handover/versions                           versions in which states can be written
    GET /v1/handover/state?application=NAME&version=N   an application's state and its place
    GET /v1/handover/records?application=NAME           a page of what it has derived

Only a twin of the same device gets here whose epoch the operator has named as a taker. Nothing is
at the resolution of the data policy: it is the same data in another container. Neighbours:
`peer_port` (the port), `succession` (who may), `successor` (who asks).
"""

from collections.abc import Callable, Iterable
from typing import Any

from meter_wire.coverage import encode_coverage, encode_entries
from meter_wire.names import build_twin_uri

from .application_host import ApplicationHost
from .handover import PREFIX, not_a_taker
from .http_server import ApiError, Request, Response, json_response
from .queries import check_names, parse_integer
from .store import Store
from .store_conflicts import load_conflicts
from .store_coverage import StoreShelf
from .store_records import load_record_page
from .succession import NotATakerError, Succession

_MAX = 999_999_999


class Giver:
    """The donor's side."""

    def __init__(
        self, device: str, store: Store, shelf: StoreShelf, succession: Succession,
        host: ApplicationHost, told: Callable[[], None],
    ) -> None:  # fmt: skip
        """Give from these; `told` is called when somebody has heard what we hold."""
        self._told = told
        self._device = device
        self._store = store
        self._shelf = shelf
        self._succession = succession
        self._host = host
        self._routes = {
            "coverage": self._coverage,
            "entries": self._entries,
            "versions": self._versions,
            "state": self._state,
            "records": self._records,
        }

    def answer(self, request: Request) -> Response:
        """Answer a taker.

        Raises:
            ApiError: who asks is none, or what it asks for does not exist.
            QueryError: a parameter is wrong.
        """
        epoch = self._find_taker(request.peer)
        route = self._routes.get(request.path.removeprefix(PREFIX))
        if route is None:
            raise ApiError(404, "path", "is unknown", f"there are: {', '.join(self._routes)}")
        return route(epoch, request.query)

    def _find_taker(self, names: Iterable[str]) -> int:
        """Return the epoch of the taker that has one of these names.

        Raises:
            ApiError: there is none.
        """
        for epoch in self._succession.takers:
            if build_twin_uri(self._device, epoch) in names:
                return epoch
        raise not_a_taker()

    def _coverage(self, epoch: int, query: dict[str, str]) -> Response:
        check_names(query, "")
        try:
            told = self._succession.tell(epoch)
        except NotATakerError as error:
            raise not_a_taker() from error
        self._told()
        document = {
            "frozen": told.frozen,
            "final": told.final,
            "conflicts": load_conflicts(self._store.connection),
            **encode_coverage(told.coverage),
        }
        return json_response(document)

    def _entries(self, epoch: int, query: dict[str, str]) -> Response:
        del epoch
        check_names(query, "incarnation first")
        first = parse_integer(query, "first", 1, 1, 0xFFFFFFFF)
        try:
            incarnation = bytes.fromhex(query.get("incarnation", ""))
        except ValueError:
            raise ApiError(400, "incarnation", "is no hex", "16 digits, of coverage") from None
        body = encode_entries(self._shelf.entries_of(incarnation, first))
        return Response(200, body, "application/octet-stream")

    def _versions(self, epoch: int, query: dict[str, str]) -> Response:
        del epoch
        check_names(query, "")
        return json_response(self._host.state_versions)

    def _state(self, epoch: int, query: dict[str, str]) -> Response:
        del epoch
        check_names(query, "application version")
        name = query.get("application", "")
        version = parse_integer(query, "version", 1, 1, _MAX)
        try:
            saved, incarnation = self._host.export(name, version)
        except (LookupError, ValueError) as error:
            remedy = "see /v1/handover/versions"
            raise ApiError(404, "application", "has no such state", remedy) from error
        return json_response(
            {
                "version": saved.version,
                "state": saved.state.hex(),
                "incarnation": incarnation.hex(),
                "seq": saved.position.seq,
            }
        )

    def _records(self, epoch: int, query: dict[str, str]) -> Response:
        del epoch
        check_names(query, "application series time limit")
        after = query.get("series", ""), parse_integer(query, "time", 0, 0, 0xFFFFFFFF)
        limit = parse_integer(query, "limit", 500, 1, 500)
        rows: list[Any] = load_record_page(self._store, query.get("application", ""), after, limit)
        return json_response(rows)
