"""Progress lines: what is being done and how long it has taken so far."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_started = time.monotonic()


def say(text: str) -> None:
    """Print one line with the seconds since the start."""
    sys.stdout.write(f"[{time.monotonic() - _started:5.1f} s] {text}\n")
    sys.stdout.flush()


@contextmanager
def step(text: str, *, quiet_below_s: float = 0.0) -> Iterator[None]:
    """Announce a step, and say at its end how long it took when that was long."""
    if quiet_below_s == 0.0:
        say(text)
    before = time.monotonic()
    yield
    took = time.monotonic() - before
    if took > max(quiet_below_s, 1.0):
        say(f"{text}: done in {took:.1f} s")
