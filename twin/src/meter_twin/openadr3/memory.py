"""What outlives the process of a 3.1 agent, as JSON values; no token and no secret is among it.

Neighbours: `agent`, `demand_response.event_memory`.
"""

from typing import Any, NamedTuple

from meter_twin.demand_response.event_book import Kept
from meter_twin.demand_response.event_memory import export_events, restore_events

from .capacity_description import Answered, export_answered, restore_answered
from .dialogue import Registration
from .running import Running, export_running, restore_running

PROTOCOL, VERSION = "openadr-3", 1


class Memory(NamedTuple):
    """See the module."""

    registration: Registration | None
    events: list[Kept]
    running: list[Running]
    told: dict[str, tuple[int, bool]]
    """By event: how many decisions were told, and the last one."""
    bids: dict[str, int]
    """By offer: the modification that was answered."""
    override_s: int = 0
    """Until when the customer has taken the house out."""
    answered: dict[str, Answered] = {}  # noqa: RUF012 - never changed
    """By offer: what was bid."""


def export_memory(kept: Memory) -> dict[str, Any]:
    """Return a memory as JSON values."""
    registration = kept.registration
    return {
        "version": VERSION,
        "protocol": PROTOCOL,
        "registration": None
        if registration is None
        else [registration.ven_id, registration.ven_name, list(registration.targets)],
        "events": export_events(kept.events),
        "reports": export_running(kept.running),
        "told": {event_id: list(one) for event_id, one in kept.told.items()},
        "bids": dict(kept.bids),
        "override": kept.override_s,
        "answered": export_answered(kept.answered),
        "refused": [one for one, bid in kept.answered.items() if bid.is_refused],
    }


def restore_memory(memory: dict[str, Any] | None) -> Memory:
    """Return what `export_memory` described; None is an empty one.

    Raises:
        ValueError: it is damaged, of another version or of another OpenADR.
    """
    if memory is None:
        return Memory(None, [], [], {}, {})
    try:
        is_known = (memory["version"], memory.get("protocol")) == (VERSION, PROTOCOL)
        found = Memory(
            _restore_registration(memory["registration"]),
            restore_events(memory["events"]),
            restore_running(memory["reports"]),
            {str(one): (int(count), bool(last)) for one, (count, last) in memory["told"].items()},
            {str(one): int(at) for one, at in memory["bids"].items()},
            int(memory.get("override", 0)),
            restore_answered(memory.get("answered", {}), memory.get("refused", ())),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError("damaged memory of the utility's agent") from error
    if not is_known:
        raise ValueError("damaged memory of the utility's agent: another version or protocol")
    return found


def _restore_registration(row: list[Any] | None) -> Registration | None:
    if row is None:
        return None
    ven_id, ven_name, targets = row
    return Registration(str(ven_id), str(ven_name), tuple(str(one) for one in targets))
