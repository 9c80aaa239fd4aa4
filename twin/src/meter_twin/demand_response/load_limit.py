"""How much a controllable load may draw now, by the events that are in force.

Pure. A limit is never a promise about `supply`: it is for `load[n]`, and for the EMS. The event of
the highest priority that says something about loads decides alone; during its ramp-up the limit
comes down from the rated power minute by minute, during its recovery it goes up again. An event for
other devices than the meter's load limits nothing here. Source:
OpenADR 2.0b, x-eiRampUp, x-eiRecovery, signal types of LOAD_DISPATCH and LOAD_CONTROL.
Neighbour: `event_book`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from .dr_event import MICRO, Signal
from .event_book import Kept, rank

STEP_S = 60
"""In ramps the limit changes once a minute."""
SIMPLE, DISPATCH, CONTROL = "SIMPLE", "LOAD_DISPATCH", "LOAD_CONTROL"
SIGNALS = frozenset({SIMPLE, DISPATCH, CONTROL})


class LoadRule(NamedTuple):
    """What is known of a load: its rated power, and its limits at SIMPLE's levels 1, 2, 3; in W."""

    rated_w: int
    level_limits_w: tuple[int, int, int]


class LoadLimit(NamedTuple):
    """The most that a load may draw, until something changes at `until_s`; by which event."""

    limit_w: int
    until_s: int | None
    event_id: str


def find_load_limit(kept: Iterable[Kept], rule: LoadRule, now_s: int) -> LoadLimit | None:
    """Return the limit in force, None without one: the load draws what it wants."""
    for one in sorted(kept, key=lambda one: (not _is_active(one, now_s), *rank(one))):
        share = _find_share(one, now_s) if not one.event.resources else None
        if share is None or not one.opt.is_in or one.event.is_test or one.event.fault is not None:
            continue
        for signal in one.event.signals:
            found = _find_value(one, signal, now_s)
            limit_w = None if found is None else _find_limit(signal, found[0], rule)
            if found is None or limit_w is None:
                continue
            above, below, until_s = share
            ends_s = found[1] if until_s is None else until_s
            if limit_w >= rule.rated_w:
                return None
            ramped = rule.rated_w - (rule.rated_w - limit_w) * above // below
            return LoadLimit(ramped, ends_s, one.event.event_id)
    return None


def _is_active(one: Kept, now_s: int) -> bool:
    return one.begins_s <= now_s and (one.ends_s is None or now_s < one.ends_s)


def _find_share(one: Kept, now_s: int) -> tuple[int, int, int | None] | None:
    """Return how much of an event is in force, as a fraction, and until when; None if nothing.

    While it is active its intervals say until when.
    """
    if _is_active(one, now_s):
        return 1, 1, None
    event = one.event
    if now_s < one.begins_s:
        passed_s = now_s - (one.begins_s - event.ramp_up_s)
        step_s = passed_s // STEP_S * STEP_S
        if one.cancelled_from_s is not None or passed_s < 0 or step_s == 0:
            return None
        return step_s, event.ramp_up_s, min(now_s - passed_s + step_s + STEP_S, one.begins_s)
    ends_s = one.ends_s
    assert ends_s is not None
    if ends_s <= one.begins_s:
        return None  # cancelled before it began
    passed_s = now_s - ends_s
    step_s = passed_s // STEP_S * STEP_S
    if passed_s >= event.recovery_s:
        return None
    until_s = min(ends_s + step_s + STEP_S, ends_s + event.recovery_s)
    return event.recovery_s - step_s, event.recovery_s, until_s


def _find_value(one: Kept, signal: Signal, now_s: int) -> tuple[int, int | None] | None:
    """Return what a signal says now and until when; in a ramp what it says first or last."""
    first, last = signal.intervals[0], signal.intervals[-1]
    if now_s < one.begins_s:
        return first.value_micro, one.begins_s
    if not _is_active(one, now_s):
        return last.value_micro, None
    passed_s = now_s - one.begins_s
    for interval in signal.intervals:
        end_s = interval.offset_s + interval.duration_s
        if interval.offset_s <= passed_s and (not interval.duration_s or passed_s < end_s):
            moments = [one.ends_s, one.begins_s + end_s if interval.duration_s else None]
            known = [moment for moment in moments if moment is not None]
            return interval.value_micro, min(known, default=None)
    return None


def _find_limit(signal: Signal, value_micro: int, rule: LoadRule) -> int | None:
    """Return W, None if the signal says nothing about how much a load may draw."""
    if signal.name == SIMPLE:
        level = value_micro // MICRO
        return (rule.rated_w, *rule.level_limits_w)[level]
    if signal.name == DISPATCH and signal.type == "setpoint" and signal.unit in ("", "W"):
        return max(value_micro // MICRO, 0)
    is_factor = (signal.name, signal.type) in (
        (DISPATCH, "multiplier"),
        (CONTROL, "x-loadControlCapacity"),
    )
    if is_factor:
        return max(rule.rated_w * value_micro // MICRO, 0)
    if (signal.name, signal.type) == (CONTROL, "x-loadControlPercentOffset"):
        return max(rule.rated_w * (100 * MICRO + value_micro) // (100 * MICRO), 0)
    return None
