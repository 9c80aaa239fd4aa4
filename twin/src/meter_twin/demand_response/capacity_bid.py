"""Capacity that a utility offers to reserve, and what a house bids for it. Pure.

OpenADR 3.1 alone has such offers, so this says what they are in nobody's protocol. A bid is what
the house wants of each interval and the price that is asked; whoever wants none, or finds it too
dear, says nothing. Source: OpenADR 3.1.0, User Guide 8.10.2 (dynamic capacity management).
Neighbours: `applications.capacity_bidding` (the rule of a house), `openadr3.capacity` (reads offers
and writes bids).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from .dr_event import MICRO, DrEvent, Signal
from .opt_rules import DAY_MINUTES, MINUTE_S, LocalTime

IMPORT, EXPORT = "IMPORT", "EXPORT"
DIRECTIONS = (IMPORT, EXPORT)
AVAILABLE = "_CAPACITY_AVAILABLE"
SUBSCRIPTION, RESERVATION = "_CAPACITY_SUBSCRIPTION", "_CAPACITY_RESERVATION"
PRICES = ("_PRICE", "_FEE")
MOST_LINES = 96
OFFERS = frozenset(direction + AVAILABLE for direction in DIRECTIONS)
GRANTS = frozenset(
    direction + kind for direction in DIRECTIONS for kind in (SUBSCRIPTION, RESERVATION)
)
"""What a house has by contract, and what it has been granted besides."""


class CapacityOffer(NamedTuple):
    """Capacity that can be had for [start, start + duration); a price is per kW, in millionths."""

    direction: str
    start_s: int
    duration_s: int
    available_w: int
    price_micro: int


class CapacityBid(NamedTuple):
    """What a house wants of an offer, and the most it pays for a kW."""

    offer: CapacityOffer
    wanted_w: int
    fee_micro: int


Bidding = Callable[[Sequence[CapacityOffer]], Iterable[CapacityBid]]


class BidRule(NamedTuple):
    """So much of one direction, as long as a kW costs no more than that, in some hours."""

    wanted_w: int
    most_price_micro: int
    direction: str = IMPORT
    from_minute: int = 0
    to_minute: int = 0
    """Local minutes of the day in which an interval has to lie; equal: the whole day."""
    to_local: Callable[[int], LocalTime] | None = None
    """Of the metering point; needed with minutes only."""

    def bid(self, offers: Sequence[CapacityOffer]) -> list[CapacityBid]:
        """Return a bid for each interval that is cheap enough, at the price that is asked."""
        return [
            CapacityBid(one, min(self.wanted_w, one.available_w), one.price_micro)
            for one in offers
            if one.direction == self.direction
            and min(one.available_w, self.wanted_w) > 0
            and one.price_micro <= self.most_price_micro
            and self._is_wanted_then(one)
        ]

    def _is_wanted_then(self, offer: CapacityOffer) -> bool:
        """Tell whether an interval lies within the hours as a whole."""
        length = (self.to_minute - self.from_minute) % DAY_MINUTES
        if not length or self.to_local is None:
            return True
        begins = (self.to_local(offer.start_s).minute - self.from_minute) % DAY_MINUTES
        return begins + -(-offer.duration_s // MINUTE_S) <= length


def list_offers(event: DrEvent, now_s: int) -> list[CapacityOffer]:
    """Return what an event offers from now on, by direction and time."""
    by_name = {signal.name: signal for signal in event.signals}
    offers: list[CapacityOffer] = []
    for direction in DIRECTIONS:
        name = direction + AVAILABLE
        prices = [by_name[name + end] for end in PRICES if name + end in by_name]
        for interval in by_name[name].intervals if name in by_name else ():
            start_s = event.start_s + interval.offset_s
            if not interval.duration_s or start_s < now_s or len(offers) >= MOST_LINES:
                continue
            price = _find_price(prices, interval.offset_s)
            watts = max(interval.value_micro // MICRO, 0)
            offers.append(CapacityOffer(direction, start_s, interval.duration_s, watts, price))
    return offers


def _find_price(prices: list[Signal], offset_s: int) -> int:
    for signal in prices:
        for interval in signal.intervals:
            end_s = interval.offset_s + interval.duration_s
            if interval.offset_s <= offset_s and (not interval.duration_s or offset_s < end_s):
                return interval.value_micro
    return 0
