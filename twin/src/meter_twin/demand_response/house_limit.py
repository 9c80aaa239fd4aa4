"""What holds for a whole house now: its import and export, its storage, its dispatch. Pure.

Nobody but the home's energy management can keep these, so they are handed on to it; a single load
of the meter keeps below an import limit besides, which is not enough by itself when other
equipment draws too. Nothing here is ever about `supply`. Of events that say the same thing the one
of the highest priority decides alone, as in `load_limit`. What a house has by contract
(subscription) together with what it was granted (reservation) is told as a limit too; a reservation
without a subscription adds to a number that nobody knows, and is none. Who draws more than its
contract pays for it, so that alone limits no load of the meter. An event for single devices behind
the meter is not about the house: only `find_in_force` reads it. Source: OpenADR 3.1.0, Definitions,
Table 1. Neighbours: `ems_plan` (hands it on), `applications.demand_response`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .capacity_bid import EXPORT, IMPORT, RESERVATION, SUBSCRIPTION
from .dr_event import MICRO, Signal
from .event_book import Kept, rank
from .load_limit import DISPATCH, LoadLimit

LIMIT = "_CAPACITY_LIMIT"
CHARGE = "CHARGE_STATE"
SIGNALS = frozenset({IMPORT + LIMIT, EXPORT + LIMIT, CHARGE})
"""Those that an application has to take besides what limits a load."""
MOST_PERCENT = 100


class InForce(NamedTuple):
    """What a signal says now, until something changes at `until_s`; by which event."""

    value_micro: int
    unit: str
    type: str
    until_s: int | None
    event_id: str


class Target(NamedTuple):
    """What equipment is to come to: a value in `unit`, until a moment; by which event."""

    value: int
    unit: str
    until_s: int | None
    event_id: str
    is_relative: bool = False


class HouseLimits(NamedTuple):
    """All of it; None for what nobody says. Limits are W at the grid connection, none negative."""

    import_limit: LoadLimit | None = None
    export_limit: LoadLimit | None = None
    charge: Target | None = None
    """Of batteries and cars, in % or Wh."""
    dispatch: Target | None = None
    """Of the equipment, in W, + is consumption; or by how much it is to be more."""


def find_house_limits(kept: Iterable[Kept], now_s: int) -> HouseLimits:
    """Return what holds now, by the events in which the house takes part."""
    acting = [one for one in sorted(kept, key=rank) if _acts(one, now_s)]
    return HouseLimits(
        _find_limit(acting, IMPORT, now_s),
        _find_limit(acting, EXPORT, now_s),
        _find_charge(acting, now_s),
        _find_dispatch(acting, now_s),
    )


def find_import_limit(kept: Iterable[Kept], now_s: int) -> LoadLimit | None:
    """Return the import limit that the utility has said, whatever the contract has; None without.

    Args:
        kept: all events.
        now_s: UTC.
    """
    acting = [one for one in sorted(kept, key=rank) if _acts(one, now_s)]
    return _find_said(acting, IMPORT, now_s)


def find_in_force(one: Kept, now_s: int) -> InForce | None:
    """Return what the first signal of an event says now that says something, whomever it is for."""
    found = (_read(one, signal, now_s) for signal in one.event.signals if _is_done(one, now_s))
    return next((said for said in found if said is not None), None)


def _acts(one: Kept, now_s: int) -> bool:
    return _is_done(one, now_s) and not one.event.resources


def _is_done(one: Kept, now_s: int) -> bool:
    is_begun = one.begins_s <= now_s and (one.ends_s is None or now_s < one.ends_s)
    return is_begun and one.opt.is_in and not one.event.is_test and one.event.fault is None


def _list_in_force(acting: Iterable[Kept], name: str, now_s: int) -> Iterator[InForce]:
    """Return what each event says now of a signal of this name, by rank."""
    for one in acting:
        for signal in one.event.signals:
            found = _read(one, signal, now_s) if signal.name == name else None
            if found is not None:
                yield found


def _read(one: Kept, signal: Signal, now_s: int) -> InForce | None:
    passed_s = now_s - one.begins_s
    for interval in signal.intervals:
        end_s = interval.offset_s + interval.duration_s
        if interval.offset_s <= passed_s and (not interval.duration_s or passed_s < end_s):
            ends = [one.ends_s, one.begins_s + end_s if interval.duration_s else None]
            until_s = min((end for end in ends if end is not None), default=None)
            said = interval.value_micro, signal.unit, signal.type
            return InForce(*said, until_s, one.event.event_id)
    return None


def _find_limit(acting: list[Kept], direction: str, now_s: int) -> LoadLimit | None:
    """Return the lower one of what is said and what the contract has."""
    said = _find_said(acting, direction, now_s)
    found = [] if said is None else [said]
    contract = next(_list_in_force(acting, direction + SUBSCRIPTION, now_s), None)
    if contract is not None and contract.unit == "W":
        granted = [
            one for one in _list_in_force(acting, direction + RESERVATION, now_s) if one.unit == "W"
        ]
        watts = sum(_limit(one).limit_w for one in (contract, *granted))
        ends = [one.until_s for one in (contract, *granted) if one.until_s is not None]
        found.append(LoadLimit(watts, min(ends, default=None), contract.event_id))
    return min(found, key=lambda one: one.limit_w, default=None)


def _find_said(acting: list[Kept], direction: str, now_s: int) -> LoadLimit | None:
    said = next(_list_in_force(acting, direction + LIMIT, now_s), None)
    return None if said is None or said.unit != "W" else _limit(said)


def _limit(said: InForce) -> LoadLimit:
    return LoadLimit(max(said.value_micro // MICRO, 0), said.until_s, said.event_id)


def _find_charge(acting: list[Kept], now_s: int) -> Target | None:
    said = next(_list_in_force(acting, CHARGE, now_s), None)
    if said is None or said.unit not in ("%", "Wh"):
        return None
    value = max(said.value_micro // MICRO, 0)
    value = min(value, MOST_PERCENT) if said.unit == "%" else value
    return Target(value, said.unit, said.until_s, said.event_id)


def _find_dispatch(acting: list[Kept], now_s: int) -> Target | None:
    for said in _list_in_force(acting, DISPATCH, now_s):
        if said.type in ("setpoint", "delta") and said.unit in ("", "W"):
            value = said.value_micro // MICRO
            return Target(value, "W", said.until_s, said.event_id, said.type == "delta")
    return None
