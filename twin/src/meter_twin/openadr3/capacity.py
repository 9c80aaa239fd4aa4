"""Dynamic capacity management: what a utility offers to reserve, and a meter's bid for it.

A capacity event (…_CAPACITY_AVAILABLE with a price) that asks for reservations, or another event of
its program that does, is answered with one report for each modification of the offer: what the
house wants of each interval and what it is willing to pay. The report has the type that is asked
for: the standard's table and its examples name it differently. What is granted comes as an event
(…_CAPACITY_RESERVATION), which is mapped as any other. Source: OpenADR 3.1.0, User Guide 8.10.2,
Definitions Table 1 and 2. Neighbours: `event_mapping`, `agent` (sends).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from meter_twin.demand_response.dr_event import MICRO, DrEvent, Signal

from .event_codec import Occasion
from .report_codec import Author, Letter, Line, build_report

DIRECTIONS = ("IMPORT", "EXPORT")
MOST_LINES = 96
_ASKED = ("{}_RESERVATION_CAPACITY", "{}_CAPACITY_RESERVATION", "CAPACITY_RESERVATION")
_FEES = ("{}_RESERVATION_FEE", "{}_CAPACITY_RESERVATION_FEE", "CAPACITY_RESERVATION_FEE")
_PRICES = ("_PRICE", "_FEE")


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
    """The plainest bidding: so much import as long as it costs no more than that."""

    wanted_w: int
    most_price_micro: int

    def bid(self, offers: Sequence[CapacityOffer]) -> list[CapacityBid]:
        """Return a bid for each interval that is cheap enough, at the price that is asked."""
        return [
            CapacityBid(one, min(self.wanted_w, one.available_w), one.price_micro)
            for one in offers
            if one.direction == "IMPORT"
            and one.available_w > 0
            and one.price_micro <= self.most_price_micro
        ]


def find_asking(said: Iterable[Occasion], offer: Occasion) -> tuple[str, str] | None:
    """Return the event that takes bids for an offer, and the type that it asks for; None without.

    It is the offer itself, or an event of its program that asks for reservations.
    """
    candidates = [offer, *(one for one in said if one.program_id == offer.program_id)]
    wanted = {name.format(direction) for name in _ASKED for direction in DIRECTIONS}
    for one in candidates:
        for request in one.requests:
            if request.payload_type in wanted and not one.is_cancelled and not one.fault:
                return one.event_id, request.payload_type
    return None


def list_offers(event: DrEvent, now_s: int) -> list[CapacityOffer]:
    """Return what an event offers from now on, by direction and time."""
    by_name = {signal.name: signal for signal in event.signals}
    offers: list[CapacityOffer] = []
    for direction in DIRECTIONS:
        name = f"{direction}_CAPACITY_AVAILABLE"
        prices = [by_name[name + end] for end in _PRICES if name + end in by_name]
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


def build_bid(
    author: Author, asking: tuple[str, str], name: str, bids: Sequence[CapacityBid]
) -> Letter | None:
    """Return the report of a bid, None if nothing is wanted in the direction that is asked for."""
    event_id, asked = asking
    place = next(at for at, one in enumerate(_ASKED) if asked in _spell(one))
    told = [one for one in bids if asked in (_ASKED[place].format(one.offer.direction), _ASKED[2])]
    if not told:
        return None
    lines = []
    for number, one in enumerate(told):
        fee = _FEES[place].format(one.offer.direction)
        payloads = ((asked, one.wanted_w / 1000), (fee, one.fee_micro / MICRO))
        lines.append(Line(number, one.offer.start_s, one.offer.duration_s, payloads))
    return Letter(event_id, name, build_report(author, event_id, name, lines, [(asked, "KW")]))


def _spell(name: str) -> list[str]:
    return [name.format(direction) for direction in DIRECTIONS]
