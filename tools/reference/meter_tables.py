"""Writes docs/reference/registers.md and events.md from the firmware's tables; ``--check``.

Neighbours: firmware/src/register_table.py and event_table.py are the sources.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "firmware/src"))

import event_table  # noqa: E402
import register_table  # noqa: E402

REGISTERS_HEAD = """\
# Registers of the meter

Generated from `firmware/src/register_table.py`; do not edit. Codes are those of IEC 62056-6-1
(62056-61 before 2013), units the names of IEC 62056-6-2 table 4 (DLMS). A value times
10^scaler is in the unit; all values are integers. *Cumulative* registers never go backwards and
are captured at the UTC boundaries of the capture period; *instantaneous* ones are those of the
last sample (about one second); the *maximum* carries the time at which its interval ended.

| OBIS code | meaning | unit | scaler | kind | note |
| --- | --- | --- | --- | --- | --- |
"""
REGISTERS_TAIL = """
Energy is counted from the signed sum of the phases. Fractions of a watt-hour are kept exactly, one
remainder for each rate, so a rate is at most 1 Wh and the total at most 4 Wh behind what flowed,
and neither drifts. 1.8.0 is the sum of 1.8.1 to 1.8.4 at every moment, 2.8.0 that of 2.8.1 to
2.8.4. Older firmware has no rates of export: what was exported under it is in rate 1.

A register that the meter's chip cannot measure is absent, and so is an instantaneous value that
is not known: a pulse input has neither voltage nor frequency, a HLW8012 no direction. While a chip
does not answer, readings have their cumulative registers and the status bits *data not valid* and
*error*; what its own counter had meanwhile comes with its return, and makes no demand. Energy that
a chip or a pulse input counts is taken from there, exact to the pulse, not as power times time.

On request only, in no reading: 0-0:13.0.0*255 and 0-0:13.0.1*255 are the names of the time-of-use
calendar in force and of the passive one, each with the time from which it is in force. An empty
name is the calendar of the configuration, or none to come.

The small profile for boards with 38 KB of heap counts pulses: it has 1-0:1.8.0*255,
and 1-1:2.8.0*255 where it counts a generator's.
"""
EVENTS_HEAD = """\
# Events of the meter

Generated from `firmware/src/event_table.py`; do not edit. An event has a code, the UTC time at
which it began (whole seconds, as a reading's) and arguments in the order given, all integers but
the calendar's name. Codes never change their meaning; 128 and above belong to drivers.

| code | name | arguments | meaning |
| --- | --- | --- | --- |
"""
EVENTS_TAIL = """
Dip, swell and interruption are judged on the RMS of one cycle, refreshed every half cycle, each
phase by itself (in the manner of IEC 61000-4-30 5.4, not class A); the declared voltage is 230 V
between phase and neutral. The event is written when the disturbance has ended. An interruption
always comes with the dip around it: count the dip with an extreme below 5 % once.

`voltage_10min` of a three-phase meter carries `min_mv`, `mean_mv` and `max_mv` of each phase. The
twin names them `l1_min_mv` to `l3_max_mv`; with one phase the names are those of the table.

A `trip` is no protection function in the sense of IEC 60255; [what the meter does by
itself](local-control.md) has its thresholds and times. A start after a power cut is `power_down`
and `power_up`, one after a reset is `reset` and neither of them.
"""


def obis(code: bytes) -> str:
    """Return the text of a code."""
    a, b, c, d, e, f = code
    return f"{a}-{b}:{c}.{d}.{e}*{f}"


def build_row(*cells: str) -> str:
    """Return a row of a table; a pipe in a cell does not end it."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def build_registers() -> str:
    """Return registers.md."""
    tables = register_table.TABLE + register_table.CHANNEL_TABLE
    rows = [
        build_row(f"`{obis(code)}`", meaning, unit or "-", str(scaler), kind, note)
        for code, meaning, unit, scaler, kind, note in tables
    ]
    return REGISTERS_HEAD + "".join(rows) + REGISTERS_TAIL


def build_events() -> str:
    """Return events.md."""
    rows = [
        build_row(str(code), f"`{name}`", ", ".join(arguments) or "-", meaning)
        for code, name, arguments, meaning in event_table.TABLE
    ]
    return EVENTS_HEAD + "".join(rows) + EVENTS_TAIL


def main() -> int:
    """Return 1 when a checked file differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail on drift, write nothing")
    check = parser.parse_args().check
    drifted = 0
    for name, text in (("registers.md", build_registers()), ("events.md", build_events())):
        path = ROOT / "docs/reference" / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path.relative_to(ROOT)} differs from its source")
            drifted = 1
    return drifted


if __name__ == "__main__":
    sys.exit(main())
