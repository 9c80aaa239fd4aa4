"""A quarter hour of the meter's profile, as reports hold it, and how the meter is. Pure.

Neighbours: both `reporting`s (sum it up), `utility_reports` (reads it).
"""

from typing import NamedTuple

QUARTER_S = 900
REGISTERS = {"import": "1-0:1.8.0*255", "export": "1-0:2.8.0*255"}
"""Register of each point of energy."""


class Sample(NamedTuple):
    """A quarter hour of the profile: what registers moved, and whether its status is clean."""

    start_s: int
    deltas: dict[str, int]
    is_good: bool = True


class MeterStatus(NamedTuple):
    """Whether the meter is heard, and whether its customer has taken the house out."""

    is_online: bool
    is_overridden: bool
