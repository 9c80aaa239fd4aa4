"""What energy costs when, by the utility's price events; for the home's energy management.

Prices never move a switch of the meter. An edge between two prices is moved by up to ten minutes,
by another time in each house, so that a street does not switch on in one second when energy gets
cheap; an event that brings its own tolerance has moved already. Pure. Source: OpenADR 2.0b,
ELECTRICITY_PRICE; 3.1, PRICE. Neighbours: `event_book`, `applications.pricing`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from .dr_event import Signal
from .event_book import Kept, rank
from .opt_rules import PRICES
from .random_offset import find_random_offset

HORIZON_S = 36 * 3600
MOST_ROWS = 96


class Price(NamedTuple):
    """What a kWh costs from a moment until another, in millionths of `unit`; by which event."""

    start_s: int
    end_s: int
    value_micro: int
    unit: str
    event_id: str


def find_prices(kept: Iterable[Kept], now_s: int, spread_s: int, ven_id: str) -> list[Price]:
    """Return what is known of prices from now on, in order, without overlap.

    Of events that overlap the one of the highest priority counts, then the one created first.

    Args:
        kept: all events.
        now_s: UTC.
        spread_s: edges are moved by less than this.
        ven_id: by which the move is another one in each house.
    """
    rows: list[Price] = []
    for one in sorted(kept, key=rank):
        if not one.opt.is_in or one.event.is_test or one.event.fault is not None:
            continue
        if one.event.resources:
            continue  # what one device is charged with is no price of the house
        for signal in one.event.signals:
            if signal.name in PRICES:
                for price in _list_prices(one, signal, _find_shift(one, spread_s, ven_id)):
                    rows += _cut_out(price, rows)
    ahead = [row for row in sorted(rows) if row.end_s > now_s and row.start_s < now_s + HORIZON_S]
    return ahead[:MOST_ROWS]


def _find_shift(one: Kept, spread_s: int, ven_id: str) -> int:
    event = one.event
    if event.start_after_s:
        return 0
    return find_random_offset(ven_id, event.event_id, event.modification, spread_s)


def _list_prices(one: Kept, signal: Signal, shift_s: int) -> Iterable[Price]:
    ends_s = None if one.ends_s is None else one.ends_s + shift_s
    for row in signal.intervals:
        start_s = one.begins_s + shift_s + row.offset_s
        end_s = start_s + row.duration_s if row.duration_s else start_s + HORIZON_S
        end_s = end_s if ends_s is None else min(end_s, ends_s)
        if start_s < end_s:
            yield Price(start_s, end_s, row.value_micro, signal.unit, one.event.event_id)


def _cut_out(price: Price, known: list[Price]) -> list[Price]:
    """Return what is left of a price where nothing else is known."""
    left = [price]
    for other in known:
        left = [part for one in left for part in _subtract(one, other)]
    return left


def _subtract(one: Price, other: Price) -> list[Price]:
    if other.end_s <= one.start_s or other.start_s >= one.end_s:
        return [one]
    before = one._replace(end_s=other.start_s)
    after = one._replace(start_s=other.end_s)
    return [part for part in (before, after) if part.start_s < part.end_s]
