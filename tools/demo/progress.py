"""Steps of a long run: what is being done, and how long it has taken so far."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_STARTED = time.monotonic()


def say(text: str) -> None:
    """Print one line with the time since the start."""
    print(f"[{time.monotonic() - _STARTED:5.0f}s] {text}", flush=True)


@contextmanager
def step(name: str, every_s: float = 20.0) -> Iterator[None]:
    """Announce a step, repeat its name while it lasts, and say how long it took."""
    begun = time.monotonic()
    ended = threading.Event()

    def remind() -> None:
        while not ended.wait(every_s):
            say(f"    … {name} ({time.monotonic() - begun:.0f} s so far)")

    say(f"==> {name}")
    thread = threading.Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    say(f"    done: {name} ({time.monotonic() - begun:.1f} s)")


def fail(message: str) -> NoReturn:
    """End the run with one clear line.

    Raises:
        SystemExit: always, with status 1.
    """
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(1)
