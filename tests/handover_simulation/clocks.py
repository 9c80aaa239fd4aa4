"""The wall clocks of a simulated world, and what makes many worlds quick.

The operator asks `datetime.now` in a few places, a successor `time.time`. Here the answer is the world's time, wrong by as
much as the clock of the process that asks. Keys are derived once and MACs made in C: the results
are the same, a test of the wire says so of the portable code.
"""

import contextlib
import functools
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from unittest import mock

from meter_operator import hellos, moments, owner, reconciler, succession, twins, words
from meter_twin import successor
from meter_wire.portable import keys, meter_epochs

from .scheduler import Scheduler

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
BEGIN_S = int(BEGIN.timestamp())
_DATED = (moments, reconciler, succession, twins)
_KEYED = (hellos, owner, words, meter_epochs)


def wall_of(scheduler: Scheduler) -> datetime:
    """Return what the process at work believes the time to be."""
    wrong_ms = scheduler.actor.wall_offset_ms if scheduler.actor is not None else 0
    return BEGIN + timedelta(milliseconds=scheduler.now_ms + wrong_ms)


def _hmac(key: bytes, *parts: bytes | memoryview) -> bytes:
    return hmac.digest(key, b"".join(parts), "sha256")


_derive = functools.lru_cache(maxsize=4096)(keys.derive_key)


@contextlib.contextmanager
def played_time(scheduler: Scheduler) -> Iterator[None]:
    """Let the operator's code live in a world's time."""

    class Played(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Played":
            return cls.fromtimestamp(wall_of(scheduler).timestamp(), tz)

    with contextlib.ExitStack() as stack:
        for module in _DATED:
            stack.enter_context(mock.patch.object(module, "datetime", Played))
        clock = SimpleNamespace(time=lambda: wall_of(scheduler).timestamp())
        stack.enter_context(mock.patch.object(successor, "time", clock))
        for module in _KEYED:
            stack.enter_context(mock.patch.object(module, "derive_key", _derive))
        stack.enter_context(mock.patch.object(keys, "hmac_sha256", _hmac))
        yield
