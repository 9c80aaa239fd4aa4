"""Lets the real code live in a simulated world: its time, its network, its story."""

import contextlib
from collections.abc import Iterator
from unittest import mock

from meter_twin import log

from .clocks import played_time
from .exchange import played_peers
from .scheduler import Scheduler
from .twin import Twin


@contextlib.contextmanager
def played(scheduler: Scheduler) -> Iterator[None]:
    """Play a world; what twins log is a part of its story."""

    def tell(level: str, what: str, **fields: str | int | None) -> None:
        del level
        actor = scheduler.actor
        who = f"twin {actor.epoch}" if isinstance(actor, Twin) else "a twin"
        scheduler.tell(" ".join([f"{who}: {what}", *(f"{key}={fields[key]}" for key in fields)]))

    with played_time(scheduler), played_peers(), mock.patch.object(log, "log", tell):
        yield
