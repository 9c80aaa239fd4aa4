"""What the home's energy management system (EMS) asks of the twin, and what it tells.

It reads its plan (a limit, prices, events) and tells which devices it has and whether the customer
has taken the house out. One word of it is kept, in memory: it comes again every few minutes. Who
may speak here is the port's business. docs/reference/ems-api.md is its contract. Neighbours:
`peer_port` (mutual TLS), `ems_line` (the broker), `api` (people), `demand_response.ems_plan` (the
plan).
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from .application import QueryError
from .http_server import ApiError, Request, Response, json_response
from .option_schema import Schema
from .presentation import format_time
from .queries import parse_time
from .request_body import parse_body

MOST_OVERRIDE_S = 7 * 86_400
_DEVICE: Schema = {
    "type": "object",
    "required": ["id", "kind"],
    "properties": {
        "id": {"type": "string", "maxLength": 32, "pattern": "[a-z0-9][a-z0-9-]*"},
        "kind": {"type": "string", "enum": ["battery", "ev", "heatPump", "pv", "other"]},
        "watts": {"type": "integer", "minimum": -1_000_000, "maximum": 1_000_000, "default": 0},
        "chargePercent": {"type": "integer", "minimum": 0, "maximum": 100},
        "connected": {"type": "boolean", "default": True},
    },
}
_STATE: Schema = {
    "type": "object",
    "properties": {
        "devices": {"type": "array", "maxItems": 16, "items": _DEVICE, "default": []},
        "reaction": {"type": "string", "maxLength": 200, "default": ""},
    },
}
_OVERRIDE: Schema = {
    "type": "object",
    "required": ["until"],
    "properties": {"until": {"type": "string", "maxLength": 40}},
}


class EmsDesk:
    """Of one twin that has a utility."""

    def __init__(
        self, build_plan: Callable[[], dict[str, Any]], override: Callable[[int], bool]
    ) -> None:
        """Begin without a word of the EMS.

        Args:
            build_plan: returns the plan of this moment.
            override: takes the house out until UTC seconds, or in again (0); False if it must wait.
        """
        self._build_plan = build_plan
        self._override = override
        self._state: dict[str, Any] | None = None
        self._heard_s: int | None = None
        self.refused: Counter[str] = Counter()
        """Messages by the broker that were not taken, by reason."""

    def plan(self) -> Response:
        """GET /v1/ems/plan: what holds now."""
        return json_response(self._build_plan())

    def take_state(self, request: Request) -> Response:
        """POST /v1/ems/state: what the EMS has and does; the answer is the plan.

        Raises:
            ApiError: the body is wrong; the word before stays.
        """
        self.hear(request.body)
        return self.plan()

    def hear(self, body: bytes) -> None:
        """Take what the EMS has and does.

        Raises:
            ApiError: the body is wrong; the word before stays.
        """
        self._state, self._heard_s = parse_body(body, _STATE), int(time.time())

    def override(self, request: Request) -> Response:
        """POST /v1/ems/override: the customer takes the house out of events, or in again.

        Raises:
            ApiError: the body is wrong, or this twin may not act for the meter now.
        """
        return json_response(self.take_override(request.body))

    def take_override(self, body: bytes) -> dict[str, Any]:
        """Take the house out of events, or in again; return until when.

        Raises:
            ApiError: the body is wrong, or this twin may not act for the meter now.
        """
        text = parse_body(body, _OVERRIDE)["until"]
        until_s = _parse_until(text, int(time.time())) if text else 0
        if not self._override(until_s):
            raise ApiError(
                409,
                "epoch",
                "this twin does not speak with the utility now",
                "ask the active twin, see `kubectl get meters`; after a takeover in two minutes",
            )
        return {"until": format_time(until_s)}

    def describe(self) -> dict[str, Any]:
        """Return plan and last word, for people."""
        heard = format_time(self._heard_s)
        return {
            "plan": self._build_plan(),
            "state": self._state,
            "heard": heard,
            "refused": dict(self.refused),
        }


def _parse_until(text: str, now_s: int) -> int:
    try:
        until_s = parse_time(text, "body.until", now_s)
    except QueryError as error:
        raise ApiError(400, error.field, error.message, error.remedy) from error
    if not now_s < until_s <= now_s + MOST_OVERRIDE_S:
        remedy = "give a time in the next seven days, or an empty text to end it"
        raise ApiError(400, "body.until", "is not ahead, or too far", remedy)
    return until_s
