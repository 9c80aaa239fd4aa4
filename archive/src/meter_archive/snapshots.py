"""Readings of one register of one device, and which of them counts at each second. Pure.

A meter stamps a reading at the end of its interval, normally at a boundary of its capture period.
After its clock was put back, or when its state was made anew, it may give several readings of one
second: the one with the highest number of the newest incarnation counts, as the meter gave it last
and with the better clock. Readings whose clock was invalid are left out and counted: they belong to
no second. Neighbours: `intervals`, `demand`, `gaps`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import attrgetter
from typing import Literal, NamedTuple

from meter_wire.obis import find_register
from meter_wire.tables import STATUS, number_of

_CLOCK_INVALID = number_of(STATUS, "clock_invalid")
_ELECTRICITY = 1
_CURRENT = 255
_KINDS: dict[int, "Kind"] = {8: "cumulative", 7: "instantaneous", 6: "maximum"}

Kind = Literal["cumulative", "instantaneous", "maximum", "other"]


class Snapshot(NamedTuple):
    """One register of one reading.

    `time_s`: UTC second of the interval's end, 0 without a clock. `value`: the register's integer,
    not scaled. `status`: bits of `tables.STATUS`. (`incarnation`, `seq`) is the reading's identity;
    the number of an incarnation is higher than those of older ones of the device. `epoch`: of the
    twin that gave it.
    """

    time_s: int
    value: int
    status: int
    seq: int
    incarnation: int
    epoch: int


_SECOND = attrgetter("time_s")
_ORDER = attrgetter("incarnation", "seq", "epoch", "value", "status")
"""Old to new: identity, and what makes the order total if one identity were given twice."""


class Series(NamedTuple):
    """The snapshots that count, one a second, rising, and what was left out.

    `dated` has second and status of every reading with a time, those that do not count included,
    as a status speaks for its interval. `undated`: readings without a valid clock. `repeated`:
    readings of a second that has a newer one.
    """

    times: tuple[int, ...]
    snapshots: tuple[Snapshot, ...]
    dated: tuple[tuple[int, ...], tuple[int, ...]]
    undated: int
    repeated: int

    def find(self, time_s: int) -> Snapshot | None:
        """Return the snapshot of a second."""
        place = bisect_left(self.times, time_s)
        found = place < len(self.times) and self.times[place] == time_s
        return self.snapshots[place] if found else None

    def between(self, first_s: int, last_s: int) -> tuple[Snapshot, ...]:
        """Return the snapshots from a second to another, both included."""
        return self.snapshots[bisect_left(self.times, first_s) : bisect_right(self.times, last_s)]

    def find_last(self, last_s: int) -> Snapshot | None:
        """Return the newest snapshot up to a second, included."""
        place = bisect_right(self.times, last_s)
        return self.snapshots[place - 1] if place else None

    def find_first(self, first_s: int) -> Snapshot | None:
        """Return the oldest snapshot from a second on, included."""
        place = bisect_left(self.times, first_s)
        return self.snapshots[place] if place < len(self.times) else None


def build_series(readings: Iterable[Snapshot]) -> Series:
    """Return which readings count, whatever the order they are given in.

    Args:
        readings: of one register of one device. Those of another device at the same metering point
            are a series of their own: no difference is ever taken between two devices.
    """
    dated = []
    undated = 0
    for reading in readings:
        if reading.time_s and not reading.status & _CLOCK_INVALID:
            dated.append(reading)
        else:
            undated += 1
    dated.sort(key=_ORDER)
    newest = {reading.time_s: reading for reading in dated}
    times = tuple(sorted(newest))
    snapshots = tuple(newest[time_s] for time_s in times)
    dated.sort(key=_SECOND)
    statuses = tuple(reading.status for reading in dated)
    seconds = tuple(reading.time_s for reading in dated)
    return Series(times, snapshots, (seconds, statuses), undated, len(dated) - len(times))


def find_decrease(snapshots: tuple[Snapshot, ...]) -> str:
    """Return why the advance over snapshots is not known, empty if it is.

    `new_incarnation`: the register is lower than it was in an older state of the meter, so it has
    begun anew. `register_decreased`: lower in the same state.
    """
    before: Snapshot | None = None
    for snapshot in snapshots:
        if before is not None and snapshot.value < before.value:
            same = snapshot.incarnation == before.incarnation
            return "register_decreased" if same else "new_incarnation"
        before = snapshot
    return ""


def register_kind(code: bytes) -> Kind:
    """Return how values of a register are to be combined over time.

    `cumulative`: differences; `instantaneous`: least, mean and largest; `maximum`: the largest;
    `other`: only as it is. For electricity this is group D of the OBIS code (IEC 62056-6-1): 8 is
    time integral 1, from the start of measurement until now; 7 the instantaneous value; 6 maximum
    1. Time integral 2 (D = 9) begins anew with each billing period, and historical values have a
    group F below 255: neither is differenced. Registers of other media are what the table of known
    ones says.

    Args:
        code: six bytes.
    """
    if code[0] == _ELECTRICITY:
        return _KINDS.get(code[3], "other") if code[5] == _CURRENT else "other"
    known = find_register(code)
    return "instantaneous" if known is not None and known.kind == "instantaneous" else "other"
