"""Which application decides about which event of the utility. Pure.

An event is decided by the first that acts on one of its signals: one that limits loads before one
that does not, so that a house that takes no part in limits is not taken in by a price beside them.
Neighbours: `applications` (the rules of the house), `utility_talk` (asks).
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from .demand_response.dr_event import DrEvent, is_met
from .demand_response.event_book import Kept, Opt
from .demand_response.opt_rules import NEVER, STOPPED


class Decider(Protocol):
    """An application that acts on events."""

    @property
    def signals(self) -> Collection[str]:
        """Names of the signals that it acts on."""

    @property
    def limits_loads(self) -> bool:
        """Whether it limits loads; the customer's override is about those."""

    def decide(self, event: DrEvent, others: Iterable[Kept], *, is_overridden: bool) -> Opt:
        """Return whether the house takes part.

        One that answers offers of capacity has a method `bid` besides.
        """


class Deciders:
    """Those of one house."""

    def __init__(self, deciders: Iterable[Decider]) -> None:
        """Order them."""
        self._deciders = sorted(deciders, key=lambda one: not one.limits_loads)

    @property
    def signals(self) -> frozenset[str]:
        """Names of all signals that somebody acts on."""
        return frozenset(name for one in self._deciders for name in one.signals)

    @property
    def bidding(self) -> Callable[[Any], Any] | None:
        """What answers offers of capacity, None if no application does."""
        found = (getattr(one, "bid", None) for one in self._deciders)
        return next((one for one in found if one is not None), None)

    def decide(
        self,
        event: DrEvent,
        others: Iterable[Kept],
        *,
        is_overridden: bool,
        is_stopped: bool = False,
    ) -> Opt:
        """Return whether the house takes part in an event.

        While load control is stopped, in none that limits loads or bids for what they may draw,
        whatever its rules say.
        """
        for one in self._deciders:
            if is_met(event, one.signals):
                if is_stopped and (one.limits_loads or hasattr(one, "bid")):
                    return STOPPED
                return one.decide(event, others, is_overridden=is_overridden)
        return NEVER
