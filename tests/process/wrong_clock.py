"""Runs a twin whose machine's clock is wrong: `python wrong_clock.py SECONDS`.

UTC is shifted for the Python of this process only; uptime, timers and TLS are the machine's.
"""

import runpy
import sys
import time

SHIFT_S = int(sys.argv[1])
_time, _time_ns = time.time, time.time_ns


def _shifted() -> float:
    return _time() + SHIFT_S


def _shifted_ns() -> int:
    return _time_ns() + SHIFT_S * 1_000_000_000


time.time, time.time_ns = _shifted, _shifted_ns
runpy.run_module("meter_twin", run_name="__main__", alter_sys=True)
