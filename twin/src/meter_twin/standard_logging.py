"""Standard logging (asyncio, third-party applications) with messages left out.

`log.capture_standard_logging` installs it; a message may hold values, so exception type and place
are all that is written. Neighbour: `postponed`, which keeps `logging` away until somebody logs.
"""

import logging

from .log import log, log_exception


class _Reduced(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        place = f"{record.filename}:{record.lineno}"
        if error is not None:
            log_exception("internal", error, name=record.name)
        else:
            log("warning", "internal", name=record.name, place=place)


def capture() -> None:
    """Let everything from warning on go through `log`."""
    root = logging.getLogger()
    root.handlers[:] = [_Reduced(logging.WARNING)]
    root.setLevel(logging.WARNING)
