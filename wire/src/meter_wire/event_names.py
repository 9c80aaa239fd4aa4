"""Names and argument names of event codes, for everybody who shows events.

The meter carries the numbers only (`firmware/src/event_codes.py`, meanings in `event_table.py`);
a test of the twin compares the two tables. Codes are appended, never reused.
"""

from typing import NamedTuple


class EventKind(NamedTuple):
    """What an event code means."""

    code: int
    name: str
    arguments: tuple[str, ...]

    def name_arguments(self, count: int) -> tuple[str, ...]:
        """Return the names of the first arguments of an event that carries `count` of them.

        With several phases, what is there for each has its phase in its name: `l2_mean_mv`.
        """
        repeated = _PER_PHASE.get(self.code, 0)
        common = len(self.arguments) - repeated
        phases = (count - common) // repeated if repeated else 1
        if phases <= 1:
            return self.arguments
        once, own = self.arguments[:common], self.arguments[common:]
        return once + tuple(f"l{phase}_{name}" for phase in range(1, phases + 1) for name in own)


_PER_PHASE = {13: 3}
"""How many arguments, the last ones, an event has for each phase of the meter."""


EVENTS = tuple(
    EventKind(code, name, tuple(arguments.split()))
    for code, name, arguments in (
        (1, "power_down", "reconstructed"),
        (2, "power_up", "outage_ms"),
        (3, "clock_step", "offset_ms"),
        (4, "clock_set", ""),
        (5, "tamper_cover", "open"),
        (6, "tamper_magnet", "present"),
        (7, "relay_supply", "state reason"),
        (8, "relay_load", "load closed reason"),
        (9, "firmware_start", "boot version"),
        (10, "dip", "phase duration_ms extreme_mv"),
        (11, "swell", "phase duration_ms extreme_mv"),
        (12, "interruption", "phase duration_ms extreme_mv"),
        (13, "voltage_10min", "covered_s flagged min_mv mean_mv max_mv"),
        (14, "ring_overflow", "lost"),
        (15, "owner_change", "active_epoch candidate_epoch"),
        (16, "incarnation_new", ""),
        (17, "limit_trip", "power_w limit_w"),
        (18, "configuration", "item"),
        (19, "task_restart", "task restarts"),
        (20, "clock_refused", "offset_ms"),
        (21, "order", "action counter reason"),
        (22, "calendar", "counter calendar"),
        (23, "trip", "kind began load extreme"),
        (24, "lock_out", "load locked"),
        (25, "reset", "cause away_ms"),
        (26, "power_held", ""),
        (27, "credentials", "change"),
    )
)
"""Known events."""

_BY_CODE = {kind.code: kind for kind in EVENTS}
_BY_NAME = {kind.name: kind for kind in EVENTS}


def find_event(code: int) -> EventKind | None:
    """Return what a code means, None for one that is not in the table."""
    return _BY_CODE.get(code)


def get_event_code(name: str) -> int:
    """Return the code of a name.

    Raises:
        KeyError: there is no such event.
    """
    return _BY_NAME[name].code
