"""Holds a flow open that ends within hundredths of a second: who would end it is paused meanwhile.

A paused process is one more delay, of which the protocol has to bear any. Neighbours: `flows` (which
flows, and who ends them), `cells` (from its second try on a cell holds), `faults`.
"""

import contextlib
import os
import signal

from demo import find_process
from faults import SHARED, find_operator
from flows import OLD_TWIN, OPERATOR


@contextlib.contextmanager
def hold(timeline, flow, timeout_s):
    """Pause who ends the flow, from the mark that the flow names until this is left."""
    # Found before it is waited for, as that takes a while; a new twin is not there yet.
    process = find_process(find_operator()) if flow.held == OPERATOR else None
    seen = timeline.wait([flow.held_from], timeout_s)
    if flow.held != OPERATOR:
        source, candidate = timeline.epochs
        process = timeline.processes.get(source if flow.held == OLD_TWIN else candidate)
    held = seen and process is not None
    if held:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        if held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def lock(flow):
    """What to hold while the flow is held open: one cell at a time may pause what all share."""
    return SHARED if flow.held == OPERATOR else contextlib.nullcontext()
