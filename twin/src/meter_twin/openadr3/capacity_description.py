"""How offers of capacity, the house's bids and what it was granted are shown.

Neighbours: `agent` (shows it), `announcements` (the bids), `demand_response.capacity_bid`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from meter_twin.demand_response.capacity_bid import DIRECTIONS, GRANTS, CapacityBid, list_offers
from meter_twin.demand_response.dr_event import MICRO
from meter_twin.demand_response.event_book import Kept
from meter_twin.openadr2.times import format_moment

MOST_ROWS = 96
Line = tuple[str, int, int, int, int]
"""Direction, beginning, duration, wanted W, and what is paid for a kW in millionths."""


class Answered(NamedTuple):
    """What was bid for an offer in one modification of it."""

    modified_us: int
    lines: tuple[Line, ...]
    is_refused: bool = False
    """The utility did not take it."""


def note_bid(modified_us: int, bids: Iterable[CapacityBid]) -> Answered:
    """Return what is kept of a bid."""
    lines = (
        (one.offer.direction, one.offer.start_s, one.offer.duration_s, one.wanted_w, one.fee_micro)
        for one in bids
    )
    return Answered(modified_us, tuple(lines))


def export_answered(answered: Mapping[str, Answered]) -> dict[str, Any]:
    """Return bids as JSON values."""
    return {
        one: [found.modified_us, [list(line) for line in found.lines]]
        for one, found in answered.items()
    }


def restore_answered(rows: Mapping[str, Any], refused: Collection[str]) -> dict[str, Answered]:
    """Return what `export_answered` described; the offers whose bids were refused are beside it.

    Raises:
        AttributeError, TypeError, ValueError: damaged.
    """
    found = {}
    for event_id, (modified_us, lines) in rows.items():
        kept = tuple(
            (str(direction), int(start), int(duration), int(watts), int(fee))
            for direction, start, duration, watts, fee in lines
        )
        found[str(event_id)] = Answered(int(modified_us), kept, event_id in refused)
    return found


def describe_capacity(
    kept: Iterable[Kept],
    answered: Mapping[str, Answered],
    arrived: Mapping[str, int],
    now_s: int,
) -> dict[str, Any]:
    """Return what `kubectl meter dr` shows: what can be had, was bid for, and was granted.

    Args:
        kept: all events.
        answered: by offer, what was bid.
        arrived: by offer, the modification whose bid the utility has, or has refused.
        now_s: UTC.
    """
    known = [
        one
        for one in kept
        if one.event.fault is None and one.cancelled_from_s is None and not one.event.resources
    ]
    offers = [
        _describe(one.event.event_id, offer.direction, offer.start_s, offer.duration_s)
        | {"watts": offer.available_w, "price": offer.price_micro / MICRO}
        for one in known
        for offer in list_offers(one.event, now_s)
    ]
    bids = [
        _describe(event_id, direction, start_s, duration_s)
        | {"watts": watts, "fee": fee_micro / MICRO}
        | {
            "arrived": arrived.get(event_id) == found.modified_us and not found.is_refused,
            "refused": found.is_refused,
        }
        for event_id, found in answered.items()
        for direction, start_s, duration_s, watts, fee_micro in found.lines
        if start_s + duration_s > now_s
    ]
    granted = [row for one in known if one.opt.is_in for row in _list_grants(one, now_s)]
    return {"offers": offers[:MOST_ROWS], "bids": bids[:MOST_ROWS], "granted": granted[:MOST_ROWS]}


def _list_grants(one: Kept, now_s: int) -> Iterator[dict[str, Any]]:
    for signal in one.event.signals:
        if signal.name not in GRANTS:
            continue
        direction = next(way for way in DIRECTIONS if signal.name.startswith(way))
        for interval in signal.intervals:
            start_s = one.begins_s + interval.offset_s
            if interval.duration_s and start_s + interval.duration_s <= now_s:
                continue
            row = _describe(one.event.event_id, direction, start_s, interval.duration_s)
            kind = "subscription" if signal.name.endswith("SUBSCRIPTION") else "reservation"
            yield row | {"watts": interval.value_micro // MICRO, "kind": kind}


def _describe(event_id: str, direction: str, start_s: int, duration_s: int) -> dict[str, Any]:
    return {
        "event": event_id,
        "direction": direction.lower(),
        "start": format_moment(start_s),
        "end": format_moment(start_s + duration_s) if duration_s else None,
    }
