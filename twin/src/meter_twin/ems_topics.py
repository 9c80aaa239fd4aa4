"""What the home's energy management (EMS) is told over the broker, when, and what it may say. Pure.

A plan is told when it is another one, and again before its time is over; one that is too large for
a message comes in parts. What the EMS says is bounded in size and number, as it shares the way with
the meter's readings. docs/reference/ems-api.md is the contract. Neighbours: `ems_line` (the way),
`ems_desk` (what the words mean).
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

MOST_OCTETS = 1358
"""Of a message: what passes any broker that passes the link's frames."""
RENEW_MS = 60_000
REST_MS = 3_000
"""At least so long from one plan to the next."""
MOST_MESSAGES, PERIOD_MS = 30, 60_000
"""An EMS that says more in such a time is not heard for the rest of it."""
_HEAD, _ROWS = ("issued", "valid_until"), ("events", "prices")
_NUMBERS = {"part": 99, "parts": 99}


def divide(plan: dict[str, Any]) -> list[bytes]:
    """Return the messages of a plan, none larger than MOST_OCTETS.

    Each has when the plan was issued and how long it holds. What else it says is in the first, if
    there is room, then rows of events and prices; the rest goes on in the next. A field or row that
    would fill more than a message is left out.
    """
    parts = list(_fill(plan))
    for number, one in enumerate(parts, 1):
        one |= {"part": number, "parts": len(parts)}
    return [encode(one) for one in parts]


def _fill(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = {name: plan[name] for name in _HEAD}
    empty = _begin(head)
    most = _find_room(empty)
    part, room = empty, most
    for name, value in _list_pieces(plan):
        is_row = name in _ROWS
        size = len(encode(value if is_row else {name: value})) + 1
        if size > room:
            if size > most:
                continue
            yield part
            part, room = _begin(head), most
        if is_row:
            part[name].append(value)
        else:
            part[name] = value
        room -= size
    yield part


def _list_pieces(plan: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, plan[name]) for name in plan if name not in (*_HEAD, *_ROWS))
    yield from ((name, row) for name in _ROWS for row in plan[name])


def _begin(head: dict[str, Any]) -> dict[str, Any]:
    return {**head, **{name: [] for name in _ROWS}}


def _find_room(part: dict[str, Any]) -> int:
    return MOST_OCTETS - len(encode(part | _NUMBERS))


def encode(document: Any) -> bytes:
    """Return a document as JSON in UTF-8; what no text can hold is replaced."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


class PlanCourse:
    """Which plan has been told, and when."""

    def __init__(self) -> None:
        """Begin with none."""
        self._told: dict[str, Any] | None = None
        self._told_ms = -REST_MS

    def find_due(self, plan: dict[str, Any], now_ms: int) -> list[bytes]:
        """Return the messages that are due; they count as told from now on."""
        content = {name: value for name, value in plan.items() if name not in _HEAD}
        patience_ms = REST_MS if content != self._told else RENEW_MS
        if now_ms - self._told_ms < patience_ms:
            return []
        self._told, self._told_ms = content, now_ms
        return divide(plan)

    def forget(self) -> None:
        """Tell the next plan, whatever was told: it may not have arrived."""
        self._told = None


class Allowance:
    """How much of an EMS is heard."""

    def __init__(self) -> None:
        """Begin with all of it."""
        self._begun_ms = -PERIOD_MS
        self._count = 0

    def take(self, now_ms: int) -> bool:
        """Count a message; return whether it is heard."""
        if now_ms - self._begun_ms >= PERIOD_MS:
            self._begun_ms, self._count = now_ms, 0
        self._count += 1
        return self._count <= MOST_MESSAGES

    def is_spent(self, now_ms: int) -> bool:
        """Return whether nothing more is heard now."""
        return self._count > MOST_MESSAGES and now_ms - self._begun_ms < PERIOD_MS


class Refusal(NamedTuple):
    """Why a message is not read: the reason that is counted, and words for the EMS."""

    reason: str
    field: str
    message: str
    remedy: str


def find_refusal(octets: int, *, is_retained: bool) -> Refusal | None:
    """Return why a message is not read; None if it is."""
    if octets > MOST_OCTETS:
        text = f"is longer than {MOST_OCTETS} bytes"
        return Refusal("size", "body", text, "tell less, or use the HTTPS interface")
    if is_retained:
        text = "came from the broker's memory, nobody knows since when"
        return Refusal("retained", "retain", text, "publish without retain")
    return None
