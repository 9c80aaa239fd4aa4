"""What changes when a house is taken out of events, or in again. Pure.

The customer does so (override), or the profile that has load control stopped.

Neighbours: both agents (`openadr2.agent`, `openadr3.agent`), `opt_rules`.
"""

from collections.abc import Callable, Iterable

from .dr_event import DrEvent
from .event_book import Kept, Opt
from .opt_rules import OUT_FOR_A_WHILE

Decide = Callable[[DrEvent, Iterable[Kept], int], Opt]


def list_changes(book: Iterable[Kept], decide: Decide, now_s: int) -> list[tuple[str, Opt]]:
    """Return the events, by id, whose decision is another one now.

    What the rules had refused stays refused, and what is over stays as it was.

    Args:
        book: all events.
        decide: knows of override and stop.
        now_s: UTC.
    """
    kept, found = list(book), []
    for one in kept:
        is_over = one.ends_s is not None and one.ends_s <= now_s
        was_out = one.opt in OUT_FOR_A_WHILE
        if is_over or not (one.opt.is_in or was_out):
            continue
        opt = decide(one.event, kept, now_s)
        if was_out or opt in OUT_FOR_A_WHILE:
            found.append((one.event.event_id, opt))
    return found
