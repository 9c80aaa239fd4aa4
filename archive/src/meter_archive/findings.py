"""What the checks of `validation` look at and what they find. Pure.

A finding is for a person to judge: nothing is changed or left out because of one. Its text has
counts and rules, no consumption, because findings reach logs and tickets.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from meter_archive.gaps import Gap
from meter_archive.intervals import Bucket
from meter_archive.like_days import History
from meter_archive.snapshots import Snapshot


class Context(NamedTuple):
    """One register of one device over some days.

    `register`: six-byte OBIS code. `buckets`: its intervals, of equal length, in order.
    `advance`: what it moved from the first boundary to the last by its readings there, None if one
    is missing. `readings`: as they came, in any order, those without a clock included. `gaps`: as
    of `find_gaps`. `history`: metered intervals of the weeks around, those of `buckets` among them
    or not. `companion`: intervals of a register that moves whenever this one does, such as the sum
    of its rates; empty for none. `limit_w`: the largest power that the connection can carry, in the
    register's unit per hour (W for Wh), None if not known. `has_generation`: whether something may
    feed in here, None if not known.
    """

    register: bytes
    buckets: Sequence[Bucket]
    advance: int | None
    readings: Sequence[Snapshot]
    gaps: Sequence[Gap]
    history: History
    companion: Sequence[Bucket] = ()
    limit_w: int | None = None
    has_generation: bool | None = None


class Finding(NamedTuple):
    """What a check found: its name and version, UTC seconds from and to, register, text."""

    name: str
    version: int
    start_s: int
    end_s: int
    register: bytes
    text: str


Check = Callable[[Context], list[Finding]]
