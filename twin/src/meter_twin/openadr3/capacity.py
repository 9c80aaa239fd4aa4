"""Dynamic capacity management: what a utility offers to reserve, and a meter's bid for it.

A capacity event (…_CAPACITY_AVAILABLE with a price) that asks for reservations, or another event of
its program that does, is answered with one report for each modification of the offer: what the
house wants of each interval and what it is willing to pay. The report has the type that is asked
for: the standard's table and its examples name it differently. What is granted comes as an event
(…_CAPACITY_RESERVATION), which is mapped as any other. Source: OpenADR 3.1.0, User Guide 8.10.2,
Definitions Table 1 and 2. Neighbours: `demand_response.capacity_bid` (what a house wants),
`announcements` (sends).
"""

from collections.abc import Iterable, Sequence

from meter_twin.demand_response.capacity_bid import DIRECTIONS, CapacityBid
from meter_twin.demand_response.dr_event import MICRO

from .event_codec import Occasion
from .report_codec import Author, Letter, Line, build_report

_ASKED = ("{}_RESERVATION_CAPACITY", "{}_CAPACITY_RESERVATION", "CAPACITY_RESERVATION")
_FEES = ("{}_RESERVATION_FEE", "{}_CAPACITY_RESERVATION_FEE", "CAPACITY_RESERVATION_FEE")


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
