# ruff: noqa: B905, RUF007 - MicroPython has no others
"""A day without twin, broker and network: what is time-critical does not miss them. Both Pythons."""

from actuators import COMMAND, EXPIRED, POWER_RETURN, PROTECTION
from event_codes import (
    LIMIT_TRIP,
    POWER_DOWN,
    POWER_HELD,
    RELAY_LOAD,
    TAMPER_COVER,
    TRIP,
)
from local_rig import LocalRig
from meter_rig import NOW_S
from registers import IMPORT_ENERGY

HOUR_MS = 3600000
STEP_MS = 10000
LOADS = [(None, 300, 0, 60, 300, 120), (9000, 200, 0)]
TRIPS = [(3, 0, 49000, 49800, 5000), (0, 0, 253000, 250000, 0)]


class Day(LocalRig):
    """A meter with quarter hours."""

    def __init__(self):
        super().__init__(loads=LOADS, trips=TRIPS, contacts=["cover", "power_fail"])
        assert self.measuring.set_capture_period(900)

    def hours(self, number):
        """Let hours pass; return the events that they brought."""
        return self.pass_time(number * HOUR_MS, STEP_MS)

    def quarters(self):
        """Return the UTC seconds of all readings."""
        rows = [self.ring.read(seq)[0] for seq in range(1, self.ring.head + 1)]
        return [int.from_bytes(row[3:7], "big") for row in rows if row[0] == 1]


def test_a_day_alone():
    rig = Day()
    assert rig.hours(1) == [(RELAY_LOAD, 0, 1, POWER_RETURN)], "its minimum off-time is over"
    rig.grid.frequency_mhz = 48700
    assert rig.hours(2) == [(RELAY_LOAD, 0, 0, PROTECTION), (TRIP, 4, 1, 0, 48700)]
    rig.grid.frequency_mhz = 50000
    assert rig.hours(1) == [(RELAY_LOAD, 0, 1, PROTECTION), (TRIP, 4, 0, 0, 48700)]
    rig.loads.limit(0, 0, 9000, rig.now_ms)  # the last that a twin said
    assert rig.commands.set_clock((NOW_S + 30 * 86400) * 1000, True) == "stepped"
    assert rig.hours(2) == [(RELAY_LOAD, 0, 0, COMMAND)]
    assert rig.hours(1) == [(RELAY_LOAD, 0, 1, EXPIRED)]
    rig.grid.house_w = 12000
    events = rig.hours(1)
    assert (LIMIT_TRIP, 12000, 9000) in events
    assert 100 <= len([row for row in events if row[0] == RELAY_LOAD]) <= 120, "each minute"
    rig.grid.house_w = 2300
    rig.on = {"cover"}
    assert (TAMPER_COVER, 1) in rig.hours(1)
    rig.on = {"power_fail"}
    assert rig.hours(1) == [(POWER_DOWN, 0), (TAMPER_COVER, 0), (POWER_HELD,)]
    rig.on = set()
    assert rig.hours(14) == []
    quarters = rig.quarters()
    assert len(quarters) == 24 * 4
    for earlier, later in zip(quarters, quarters[1:]):
        assert later - earlier == 900 or later - earlier > 29 * 86400, "but for the clock's step"
    assert rig.register(IMPORT_ENERGY) > 24 * 1500
