"""Application `pricing`: the utility's prices, for the home's energy management.

It decides which price events the house takes, and says what energy costs when. Nothing of the
meter moves by a price. It needs `spec.utility`; without one it has nothing to say. Neighbours:
`demand_response.price_plan`, `energy_management` (hands the prices on).
"""

from collections.abc import Iterable
from typing import Any

from meter_twin.application import Context, Effect, Event
from meter_twin.demand_response.dr_event import DrEvent
from meter_twin.demand_response.event_book import Kept, Opt
from meter_twin.demand_response.opt_rules import NEVER, PRICES, TAKES_PART
from meter_twin.demand_response.price_plan import Price, find_prices
from meter_twin.option_schema import Schema


class Pricing:
    """See the module."""

    name = "pricing"
    summary = "Hands the utility's prices to the home's energy management"
    option_schema: Schema = {  # noqa: RUF012 - never changed
        "type": "object",
        "properties": {
            "takePart": {
                "type": "boolean",
                "default": True,
                "description": "whether the house takes the utility's prices at all",
            },
            "edgeSpreadSeconds": {
                "type": "integer",
                "minimum": 0,
                "maximum": 3600,
                "default": 600,
                "description": "each edge between two prices is moved by less than this, by another time in each house",  # noqa: E501
            },
        },
    }
    state_versions: tuple[int, ...] = (1,)
    queries: tuple[str, ...] = ()
    signals = PRICES
    """Names of the signals that it takes."""
    limits_loads = False

    def __init__(self, options: dict[str, Any], context: Context) -> None:
        """Read the rules."""
        del context
        self._takes_part: bool = options["takePart"]
        self._spread_s: int = options["edgeSpreadSeconds"]

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Derive nothing from readings."""
        del event, now_s
        return []

    def decide(self, event: DrEvent, others: Iterable[Kept], *, is_overridden: bool) -> Opt:
        """Return whether the house takes the prices of an event; the override is about loads."""
        del event, others, is_overridden
        return TAKES_PART if self._takes_part else NEVER

    def find_prices(self, kept: Iterable[Kept], now_s: int, ven_id: str) -> list[Price]:
        """Return what energy costs from now on."""
        return find_prices(kept, now_s, self._spread_s, ven_id)

    def export_state(self, version: int) -> bytes:
        """Return the state: there is none."""
        if version != 1:
            raise ValueError(f"pricing: state version {version} is unknown")
        return b"{}"

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a state."""
        if version != 1 or state != b"{}":
            raise ValueError("pricing: state is unknown")
