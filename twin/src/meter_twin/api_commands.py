"""Requests that reach the meter: live read, forward to the EMS port, load limit, signed orders.

Supply relay and calendar are not here and never will be: only an order that the utility signed
moves them, and here it only passes by. Neighbours: `api` routes here, `link_loop` carries the
command, `owner_gate` gives the authority.
"""

import base64
import time
from collections.abc import Callable
from typing import Any

from meter_wire.commands import Forward, Order, Read, Write
from meter_wire.entries import status_names
from meter_wire.obis import parse_code

from .application import QueryError
from .http_server import ApiError, Request, Response, json_response
from .load_control import STOPPED, LoadControl
from .option_schema import Schema
from .presentation import format_registers, format_time
from .queries import check_names, parse_integer
from .register_units import Units
from .request_body import decode_base64, parse_body

_FORWARD: Schema = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {"type": "string", "maxLength": 684},
        "ttl_seconds": {"type": "integer", "minimum": 1, "maximum": 300, "default": 30},
    },
}
_LOAD: Schema = {
    "type": "object",
    "required": ["limit_w", "seconds"],
    "properties": {
        "load": {"type": "integer", "minimum": 0, "maximum": 7, "default": 0},
        "limit_w": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        "seconds": {"type": "integer", "minimum": 1, "maximum": 86400},
    },
}
_FORWARD_CODES = {"ok": "delivered", "absent": "ems_absent"}
"""What else a command may end with has the same name here; docs/reference/ems-port.md has all."""


class Commands:
    """What a client of the local port may ask of the meter."""

    def __init__(
        self,
        loads: LoadControl,
        may_command: Callable[[], bool],
        has_authority: Callable[[], bool],
        units: Units,
    ) -> None:
        """Ask whether this epoch may tell its meter something, and act on third parties.

        `units`: as the meter described them.
        """
        self._may_command = may_command
        self._loads = loads
        self._units = units
        self._has_authority = has_authority

    async def read_live(
        self, code: str | None, timeout_s: int
    ) -> tuple[str, dict[str, Any] | None]:
        """Return the code that the command ended with, and the registers if it is `ok`.

        Raises:
            QueryError: the code is not an OBIS code.
        """
        try:
            codes = (parse_code(code),) if code is not None else ()
        except ValueError as error:
            raise QueryError("code", "is no full OBIS code", "write 1-0:1.8.0*255") from error
        answered = await self._loads.command(Read(codes), timeout_s * 1000)
        if answered.code == "unknown":
            raise QueryError("code", "is unknown to this meter", "see /v1/registers for its codes")
        entry = answered.entry
        if answered.code != "ok" or entry is None:
            return ("refused" if answered.code == "ok" else answered.code), None
        return "ok", {
            "source": "metered",
            "age_seconds": max(0, int(time.time()) - entry.time_s) if entry.time_s else 0,
            "time": format_time(entry.time_s),
            "incarnation": None,
            "seq": None,
            "status": status_names(entry.status),
            "registers": format_registers(entry, self._units),
        }

    async def forward(self, request: Request) -> Response:
        """POST /v1/forward: opaque bytes to the EMS port, at most once."""
        self._check_authority()
        body = parse_body(request.body, _FORWARD)
        data = decode_base64(body["data"], "body.data")
        answered = await self._command(Forward(data), body["ttl_seconds"] * 1000)
        code = _FORWARD_CODES.get(answered.code, answered.code)
        reply = base64.b64encode(answered.data).decode() if answered.data else None
        return json_response({"code": code, "data": reply})

    async def load(self, request: Request) -> Response:
        """POST /v1/load: limit a load for a time; it returns to its safe state by itself."""
        self._check_epoch()
        body = parse_body(request.body, _LOAD)
        command = Write("load", body["limit_w"], index=body["load"], seconds=body["seconds"])
        answered = await self._command(command, 10_000)
        return json_response({"code": answered.code}, 200 if answered.code == "ok" else 409)

    async def order(self, request: Request) -> Response:
        """POST /v1/order: an order that the utility signed, to the meter, unchanged."""
        from .api_orders import parse_order  # noqa: PLC0415 - few twins are ever asked for it

        self._check_epoch()
        command, ttl_ms = parse_order(request.body)
        answered = await self._command(command, ttl_ms)
        return json_response({"code": answered.code})

    async def calendar(self, request: Request) -> Response:
        """GET /v1/calendar: the names of the meter's calendars, asked now."""
        from .api_orders import CALENDARS, describe_calendars  # noqa: PLC0415

        check_names(request.query, "timeout")
        timeout_s = parse_integer(request.query, "timeout", 5, 1, 30)
        answered = await self._loads.command(Read(CALENDARS), timeout_s * 1000)
        return json_response(describe_calendars(answered))

    async def _command(self, command: Forward | Write | Order, ttl_ms: int) -> Any:
        try:
            answered = await self._loads.command(command, ttl_ms)
        except ValueError as error:
            raise ApiError(400, "body", "is out of range", "see the reference") from error
        if answered.code == STOPPED:
            raise ApiError(
                409,
                "spec.loadControl",
                "is Stopped in the TwinProfile of this meter: nothing that may move a load passes",
                "to permit it again: kubectl meter allow --profile NAME",
            )
        return answered

    def _check_authority(self) -> None:
        """Let only pass what is long enough the only twin: an EMS knows no epochs."""
        self._check_epoch()
        if not self._has_authority():
            raise ApiError(
                409,
                "epoch",
                "this twin took over a moment ago, or nobody has heard its meter yet",
                "try again in two minutes, or when the meter has connected",
            )

    def _check_epoch(self) -> None:
        if not self._may_command():
            raise ApiError(
                409,
                "epoch",
                "this twin is not the active one, or has lost the broker",
                "ask the active twin, see `kubectl get meters`",
            )
