"""Orders that the utility signed, and what came of one: the meter's calendars. Pure.

The twin can neither make nor change an order, and keeps none. Neighbour: `api_commands`, which
loads this when it is asked.
"""

from typing import Any

from meter_wire.commands import Order
from meter_wire.effects import Answered
from meter_wire.obis import parse_code

from .http_server import ApiError
from .option_schema import Schema
from .presentation import format_time
from .request_body import decode_base64, parse_body

CALENDARS = (parse_code("0-0:13.0.0*255"), parse_code("0-0:13.0.1*255"))
"""The calendar in force, and the passive one."""
_MOST_ORDER, _SIGNATURE = 512, 64
_ORDER: Schema = {
    "type": "object",
    "required": ["order", "signature"],
    "properties": {
        "order": {"type": "string", "maxLength": 684},
        "signature": {"type": "string", "maxLength": 88},
        "ttl_seconds": {"type": "integer", "minimum": 1, "maximum": 300, "default": 60},
    },
}


def parse_order(body: bytes) -> tuple[Order, int]:
    """Return the command of a request, and its time to live in milliseconds.

    Raises:
        ApiError: naming the field.
    """
    found = parse_body(body, _ORDER)
    order = decode_base64(found["order"], "body.order")
    signature = decode_base64(found["signature"], "body.signature")
    if not 0 < len(order) <= _MOST_ORDER:
        raise ApiError(
            400, "body.order", "has no or too many bytes", f"give 1 to {_MOST_ORDER} in base64"
        )
    if len(signature) != _SIGNATURE:
        raise ApiError(
            400, "body.signature", "is not r and s of P-256", f"give {_SIGNATURE} bytes in base64"
        )
    return Order(order, signature), found["ttl_seconds"] * 1000


def describe_calendars(answered: Answered) -> dict[str, Any]:
    """Return {live, active, passive}; a calendar is {name, since}, its name null if configured."""
    entry = answered.entry
    if answered.code != "ok" or entry is None:
        return {"live": answered.code, "active": None, "passive": None}
    rows = {register.code: register for register in entry.registers}
    described = []
    for code in CALENDARS:
        register = rows.get(code)
        name = register.value if register is not None else b""
        text = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
        since = format_time(register.at_s) if register is not None else None
        described.append({"name": text or None, "since": since})
    active, passive = described
    return {"live": "ok", "active": active, "passive": passive if passive["name"] else None}
