"""The small profile's board as a process: pulses of a simulated load, and the oracle's log.

It reads two keys of `meter.json` that a board does not: `load_w`, the load's powers through the day
in W, and `oracle_log`. Neighbours: `esp8266_small`, a board that has a pin; `small`;
`small_firmware`, which makes the image and the `main.py` that starts this.
"""

import time

import small
from oracle_log import Oracle
from simulation.load_curve import LoadCurve

LOAD_W = (500,)
PULSE_UJ = 2250000000
"""The default of `small`, whose constants have no names in the image."""


class Pulses:
    """What a counter would have counted; the clock is the machine's."""

    def __init__(self, table: dict) -> None:
        self._curve = LoadCurve(table.get("load_w", LOAD_W), table.get("pulse_uj", PULSE_UJ))
        self._last_ms = time.ticks_ms()

    def count(self) -> int:
        """Return the pulses since boot."""
        now_ms = time.ticks_ms()
        passed_ms = time.ticks_diff(now_ms, self._last_ms)
        self._last_ms = now_ms
        return self._curve.count(passed_ms, int(time.time()))


def log_entries(meter) -> None:
    """Have the oracle's log name each entry of a meter's ring, if `meter.json` wants one."""
    path = meter.table.get("oracle_log")
    if path is None:
        return
    ring, oracle = meter.ring, Oracle(path)
    oracle.begin(ring.incarnation, ring.head, ring.read(ring.head))
    append = ring.append

    def log(entry):
        seq = append(entry)
        oracle.write("append", ring.incarnation, seq, entry)
        return seq

    ring.append = log


def main(path: str) -> None:
    """Run the meter of a configuration file; its ring is watched before its first entry."""
    restore = small.Small.restore

    def watch(self):
        log_entries(self)
        restore(self)

    small.Small.restore = watch
    small.main(path, lambda table: Pulses(table).count)
