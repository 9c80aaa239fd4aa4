"""The mutual TLS port 8443: who the twin is, and cached reads for the recipients of its data.

The private CA has signed every certificate that gets here; what it may ask depends on its URI name:

- the operator and any twin: `/v1/identity`;
- `urn:metertwin:reader:<name>`: everything, if `<name>` is a recipient of the data policy;
- a twin: everything, if `twin:<device>` is one, whatever its epoch;
- the home's energy management (`ems.name`, a reader): `/v1/ems/…` (`ems_desk`);
- a twin of the same device that may take over from this one: `/v1/handover/…` (`giving`);
- all others, meters too: nothing. A refusal is counted.

What leaves here is at the resolution of the data policy and never finer, and nothing reaches the
meter. Neighbours: `api` (the local port), `ports` (opens both).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from meter_wire.entries import parse_entry
from meter_wire.names import OPERATOR_URI, READER_URI, TWIN_URI
from meter_wire.obis import parse_code
from meter_wire.portable.tlv import RemoteProtocolError

from .application import QueryError
from .configuration import Configuration
from .handover import PREFIX, Handover
from .http_server import ApiError, Request, Response, json_response
from .listing import list_entries
from .presentation import format_entry
from .queries import check_names, find_time, parse_cursor, parse_integer
from .register_units import Units
from .store import Store
from .store_queries import Filter, Row, find_newest

MOST_READINGS = 1000
_EMS = "/v1/ems/"
_REMEDY = "name it in spec.dataPolicy.recipients: a reader by its name, a twin as twin:<device>"


class PeerPort:
    """Routes of the mutual TLS port."""

    def __init__(
        self,
        configuration: Configuration,
        store: Store,
        units: Units,
        identity: Callable[[], dict[str, Any]],
        handover: Handover,
    ) -> None:
        """`identity`: what the twin says about itself; `units`: as the meter described them."""
        self._handover = handover
        self._ems = f"{READER_URI}{configuration.ems_name}" if configuration.ems_name else ""
        self.desk: Any = None
        """An `EmsDesk`, what the home's energy management asks; set when there is a utility."""
        self._device = configuration.device
        self._shown = configuration.registers
        self._step_s = configuration.resolution_s
        self._recipients = frozenset(one.name for one in configuration.recipients)
        self._store = store
        self._units = units
        self._identity = identity
        self._reads = {"/v1/registers": self._registers, "/v1/readings": self._readings}
        self.refused: Counter[str] = Counter()
        """Refused requests by path, those to unknown paths as `other`, of no taker `handover`."""

    async def handle(self, request: Request) -> Response:
        """Answer a client whose certificate the private CA signed; others never get here.

        Raises:
            ApiError: the error body that the client gets.
        """
        try:
            if request.path.startswith(PREFIX):
                return self._give(request)
            if request.path.startswith(_EMS):
                return self._manage(request)
            return self._answer(request)
        except QueryError as error:
            raise ApiError(400, error.field, error.message, error.remedy) from error

    def _give(self, request: Request) -> Response:
        try:
            return self._handover.answer(request)
        except ApiError as error:
            self.refused["handover"] += error.status == 403  # noqa: PLR2004 - Forbidden
            raise

    def _manage(self, request: Request) -> Response:
        """Answer the home's energy management, and nobody else: it acts for the customer."""
        desk = self.desk
        if desk is None or not self._ems or self._ems not in request.peer:
            self.refused["ems"] += 1
            text = "is not that of this home's energy management"
            raise ApiError(403, "certificate", text, "name its reader in spec.ems.name")
        routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", f"{_EMS}plan"): lambda _: desk.plan(),
            ("POST", f"{_EMS}state"): desk.take_state,
            ("POST", f"{_EMS}override"): desk.override,
        }
        route = routes.get((request.method, request.path))
        if route is None:
            there = ", ".join(" ".join(one) for one in routes)
            raise ApiError(404, "path", "is unknown on this port", f"there are: {there}")
        return route(request)

    def _answer(self, request: Request) -> Response:
        may_read = reads(request.peer, self._recipients)
        knows = may_read or any(
            name == OPERATOR_URI or name.startswith(TWIN_URI) for name in request.peer
        )
        if not knows or (request.path in self._reads and not may_read):
            known = request.path in self._reads or request.path == "/v1/identity"
            self.refused[request.path if known else "other"] += 1
            raise ApiError(403, "certificate", "is of no recipient of this meter's data", _REMEDY)
        if request.method != "GET":
            raise ApiError(405, "method", "is not allowed here", "use GET")
        if request.path == "/v1/identity":
            return json_response(self._identity())
        read = self._reads.get(request.path)
        if read is None:
            paths = ", ".join(("/v1/identity", *self._reads))
            raise ApiError(404, "path", "is unknown on this port", f"there are: {paths}")
        return read(request.query, int(time.time()))

    def _registers(self, query: dict[str, str], now_s: int) -> Response:
        """The newest reading at the resolution of the data policy."""
        check_names(query, "code")
        code = query.get("code")
        if code is not None:
            _check_code(code)
        row = find_newest(self._store, self._step_s, now_s + self._step_s)
        document: dict[str, Any] = {
            "device": self._device,
            "source": "cached",
            "resolution_seconds": self._step_s,
            "age_seconds": None,
            **dict.fromkeys(("incarnation", "seq", "time")),
            "status": [],
            "registers": {},
        }
        if row is not None:
            document |= _format(row, self._units, now_s)
        document["registers"] = {
            name: one
            for name, one in document["registers"].items()
            if (not self._shown or name in self._shown) and code in {None, name}
        }
        return json_response(document)

    def _readings(self, query: dict[str, str], now_s: int) -> Response:
        check_names(query, "since until limit after")
        wanted = Filter(
            1, find_time(query, "since", now_s), find_time(query, "until", now_s), self._step_s
        )
        after = parse_cursor(query.get("after"))
        limit = parse_integer(query, "limit", MOST_READINGS, 1, MOST_READINGS)
        pieces = list_entries(
            self._store, "readings", wanted, after,
            limit=limit, units=self._units, shown=self._shown,
        )  # fmt: skip
        return Response(200, pieces=pieces)


def reads(peer: Iterable[str], recipients: frozenset[str]) -> bool:
    """Return whether one of a certificate's URI names is that of a recipient."""
    for name in peer:
        if name.startswith(READER_URI):
            if name.removeprefix(READER_URI) in recipients:
                return True
        elif name.startswith(TWIN_URI):
            device = name.removeprefix(TWIN_URI).partition(":")[0]
            if f"twin:{device}" in recipients:
                return True
    return False


def _format(row: Row, units: Units, now_s: int) -> dict[str, Any]:
    try:
        entry = parse_entry(row.raw)
    except RemoteProtocolError:
        return {"status": ["unreadable"]}
    age_s = max(0, now_s - entry.time_s)
    return {"age_seconds": age_s, **format_entry(row.incarnation, row.position.seq, entry, units)}


def _check_code(text: str) -> None:
    try:
        parse_code(text)
    except ValueError as error:
        raise QueryError("code", "is no full OBIS code", "write 1-0:1.8.0*255") from error
