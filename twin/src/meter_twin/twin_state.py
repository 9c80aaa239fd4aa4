"""The twin's word to its operator: the retained `state` document, published on change only.

Pure. `lastSeen` is rounded down to five minutes, so a healthy meter costs one message in that
time and the status of thousands does not flicker. Neighbour: `link_loop` publishes it.
"""

import json
from typing import Any, NamedTuple

from meter_wire.word import Word

from .presentation import format_time

COARSE_S = 300


class MeterContact(NamedTuple):
    """When the meter was heard last (UTC seconds), None for never."""

    last_s: int | None
    silent_after_s: int

    def describe(self, now_s: int) -> str:
        """Return `never`, `connected` or `silent`."""
        if self.last_s is None:
            return "never"
        return "connected" if now_s - self.last_s <= self.silent_after_s else "silent"


def silence_after_s(capture_period_s: int, report_spread_s: int) -> int:
    """Return after how many quiet seconds a meter counts as silent: three reports, at least 90."""
    return max(90, 3 * (capture_period_s + report_spread_s))


def build_state(
    *, epoch: int, store_id: bytes, version: str, contact: MeterContact, ready: bool,
    order: tuple[int, int], now_s: int, online: bool = True, handover: Word | None = None,
    standing: tuple[str, str] | None = None, stopped: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return the document of docs/reference/contracts.md.

    `order`: term and counter of the control record that was taken last; `handover`: what the twin
    says of one; `standing`: with the utility, as reason and message; `stopped`: load control is.
    """
    last_s = contact.last_s
    document: dict[str, Any] = {
        "online": online,
        "epoch": epoch,
        "store": store_id.hex(),
        "version": version,
        "meter": contact.describe(now_s),
        "lastSeen": format_time(last_s - last_s % COARSE_S) if last_s else None,
        "ready": ready,
        "term": order[0],
        "counter": order[1],
    }
    if handover is not None:
        document["handover"] = handover
    if standing is not None:
        document["utility"] = {"reason": standing[0], "message": standing[1]}
    if stopped:
        document["stopped"] = True
    return document


def encode_state(document: dict[str, Any]) -> bytes:
    """Return the payload."""
    return json.dumps(document, separators=(",", ":")).encode()
