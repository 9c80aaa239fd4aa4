"""Application `capacity-bidding`: what this house bids for capacity that its utility offers.

OpenADR 3.1 alone has such offers (dynamic capacity management); with a utility of 2.0b there is
nothing to answer. It also takes note of what the house has by contract and what it is granted.
While the customer has taken the house out there are no bids; one that was sent stays. Neighbours:
`demand_response.capacity_bid` (the rule), `openadr3.announcements` (sends each bid once).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from meter_twin.application import Context, Effect, Event
from meter_twin.demand_response.capacity_bid import (
    DIRECTIONS,
    GRANTS,
    OFFERS,
    BidRule,
    CapacityBid,
    CapacityOffer,
)
from meter_twin.demand_response.dr_event import DrEvent, is_met
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.opt_rules import NEVER, OVERRIDDEN, TAKES_PART
from meter_twin.option_schema import Schema

from .local_time import TIME_PATTERN, build_local_time, find_zone, parse_minute

_MICRO_OF_MILLI = 1_000


class CapacityBidding:
    """See the module."""

    name = "capacity-bidding"
    summary = "Bids for capacity that the utility offers (OpenADR 3.1)"
    option_schema: Schema = {  # noqa: RUF012 - never changed
        "type": "object",
        "properties": {
            "wantedWatts": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000000,
                "default": 0,
                "description": "how much the house wants of each interval that is offered; 0: it bids for nothing",  # noqa: E501
            },
            "mostPriceMilli": {
                "type": "integer",
                "minimum": 0,
                "maximum": 1000000000,
                "default": 0,
                "description": "it bids as long as a kW costs no more than so many thousandths of the currency",  # noqa: E501
            },
            "direction": {
                "type": "string",
                "enum": ["import", "export"],
                "default": "import",
                "description": "capacity to draw from the grid, or to give to it",
            },
            "wantedFrom": {
                "type": "string",
                "pattern": TIME_PATTERN,
                "default": "00:00",
                "description": "local time from which capacity is wanted",
            },
            "wantedTo": {
                "type": "string",
                "pattern": TIME_PATTERN,
                "default": "00:00",
                "description": "local time until which it is; the same as wantedFrom: at any time",
            },
        },
    }
    state_versions: tuple[int, ...] = (1,)
    queries: tuple[str, ...] = ()
    signals = OFFERS | GRANTS
    """Names of the signals that it takes."""
    limits_loads = False

    def __init__(self, options: dict[str, Any], context: Context) -> None:
        """Read the rule."""
        self._rule = BidRule(
            options["wantedWatts"],
            options["mostPriceMilli"] * _MICRO_OF_MILLI,
            next(one for one in DIRECTIONS if one.lower() == options["direction"]),
            parse_minute(options["wantedFrom"]),
            parse_minute(options["wantedTo"]),
            build_local_time(find_zone(context.timezone)),
        )

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Derive nothing from readings."""
        del event, now_s
        return []

    def decide(self, event: DrEvent, others: Iterable[Kept], *, is_overridden: bool) -> Opt:
        """Return whether the house answers an offer; what it was granted it takes note of."""
        del others
        if is_met(event, GRANTS):
            return TAKES_PART
        if is_overridden:
            return OVERRIDDEN
        return TAKES_PART if self._rule.wanted_w else NEVER

    def bid(self, offers: Sequence[CapacityOffer]) -> list[CapacityBid]:
        """Return what the house bids."""
        return self._rule.bid(offers)

    def export_state(self, version: int) -> bytes:
        """Return the state: there is none; what was bid is the utility's memory."""
        if version != 1:
            raise ValueError(f"capacity-bidding: state version {version} is unknown")
        return b"{}"

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a state."""
        if version != 1 or state != b"{}":
            raise ValueError("capacity-bidding: state is unknown")
