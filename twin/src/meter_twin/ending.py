"""How a twin ends: its exit codes, and the message that is left to whoever asks why.

The reason of a wrong configuration or an unusable store goes to stderr and to the termination
message of the pod. Neighbours: `process` and `serving`, which end.
"""

import contextlib
import os

from . import log
from .option_schema import Violation

EXIT_UNEXPECTED = 1
EXIT_CONFIGURATION = 2
EXIT_STORE = 3
_TERMINATION_LOG = "/dev/termination-log"


def fail(error: Exception) -> int:
    """Log type and place of an unexpected error, as a traceback could hold values."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    log.log_exception("twin failed", error)
    return EXIT_UNEXPECTED


def end(code: int, what: str, violation: Violation) -> int:
    """Tell why the twin ends; return the exit code."""
    log.log(
        "error",
        what,
        field=violation.field,
        message=violation.message,
        remedy=violation.remedy,
    )
    target = os.environ.get("METERTWIN_TERMINATION_LOG", _TERMINATION_LOG)
    with contextlib.suppress(OSError), open(target, "r+", encoding="utf-8") as file:  # noqa: PTH123
        file.truncate()
        file.write(f"{violation.field}: {violation.message}; {violation.remedy}\n")
    return code
