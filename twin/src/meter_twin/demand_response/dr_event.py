"""A demand response event, as OpenADR 2.0b and 3.1 both can say it.

Moments are UTC seconds, durations seconds, values millionths of their unit (a level, W, a currency
per kWh), so that a price of 0.25 stays what it is. Neighbours: `openadr2.event_codec` reads such
events, `event_book` keeps them.
"""

from collections.abc import Collection
from typing import NamedTuple

LATEST_LOCAL_S = 253_402_128_000
"""30 December 9999: what is later, no clock of any zone can be relied on to show."""
MICRO = 1_000_000
"""A value is held in millionths of its unit."""


class Interval(NamedTuple):
    """What a signal says from a moment of the event on; 0 seconds are until the event ends."""

    offset_s: int
    duration_s: int
    value_micro: int


class Signal(NamedTuple):
    """One row of values in time; `unit` is W, a currency per kWh, or empty."""

    name: str
    type: str
    unit: str
    intervals: tuple[Interval, ...]
    device_classes: tuple[str, ...] = ()
    """Kinds of device it is for, such as Thermostat; none is all."""


class Targets(NamedTuple):
    """For whom an event is; nobody named is everybody asked."""

    ven_ids: tuple[str, ...] = ()
    resource_ids: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    party_ids: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Kinds of target that a VEN has no name for, such as a service area."""


class Fault(NamedTuple):
    """Why an event cannot be done: an application error code of OpenADR 2.0b, and words."""

    code: int
    description: str


def is_met(event: "DrEvent", signal_names: Collection[str]) -> bool:
    """Whether an event has a signal of one of these names."""
    return any(signal.name in signal_names for signal in event.signals)


class DrEvent(NamedTuple):
    """One event of a utility in one modification of it."""

    event_id: str
    modification: int
    created_s: int
    market_context: str
    start_s: int
    duration_s: int
    """0: until it is cancelled."""
    signals: tuple[Signal, ...]
    priority: int = 0
    """1 is first, 0 is last."""
    is_test: bool = False
    is_cancelled: bool = False
    is_answered: bool = True
    """The utility wants an answer; without, it must not get one."""
    start_after_s: int = 0
    """Tolerance: it begins at random up to so much later, and ends so much later too."""
    notification_s: int = 0
    ramp_up_s: int = 0
    recovery_s: int = 0
    targets: Targets = Targets()
    fault: Fault | None = None
    """What is wrong with it: it is answered and shown, and never done."""
    resources: tuple[str, ...] = ()
    """The devices behind the meter that alone it is for; none: it is for the house."""

    @property
    def end_s(self) -> int:
        """The planned end, 0 without one."""
        return self.start_s + self.duration_s if self.duration_s else 0
