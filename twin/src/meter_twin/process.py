"""From the configuration to the exit code: run the twin, leave a message when it ends.

The reason of a wrong configuration or an unusable store goes to stderr and to the termination
message of the pod. Neighbours: `__main__` calls it, `shell` serves.
"""

import asyncio
import contextlib
import os
import signal
import ssl

from . import log
from .configuration import ConfigurationError, load_configuration
from .option_schema import Violation
from .shell import Twin
from .store_schema import StoreError

EXIT_UNEXPECTED = 1
EXIT_CONFIGURATION = 2
EXIT_STORE = 3
_TERMINATION_LOG = "/dev/termination-log"


def run() -> int:
    """Run a twin; return its exit code."""
    log.capture_standard_logging()
    os.umask(0o077)
    try:
        asyncio.run(_serve())
    except ConfigurationError as error:
        return _end(EXIT_CONFIGURATION, "configuration is wrong", error.violation)
    except StoreError as error:
        violation = Violation("paths.store", str(error), error.remedy)
        return _end(EXIT_STORE, "store cannot be used", violation)
    except OSError as error:
        violation = Violation("ports", f"{type(error).__name__}: {error}", "free the port")
        return _end(EXIT_CONFIGURATION, "twin cannot serve", violation)
    except Exception as error:  # noqa: BLE001 - a traceback could hold values: type and place only
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        log.log_exception("twin failed", error)
        return EXIT_UNEXPECTED
    return 0


async def _serve() -> None:
    configuration = load_configuration(os.environ.get("METERTWIN_CONFIG"))
    try:
        twin = Twin(configuration)
    except ssl.SSLError as error:
        raise ConfigurationError(
            Violation(
                configuration.identity_dir,
                f"holds no usable certificate and key, or the trust file is no CA ({error.reason})",
                "provision the twin's Secret again",
            )
        ) from error
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # add_signal_handler would load `inspect` (see `postponed`); this wakes the loop as well
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(task.cancel))
    with contextlib.suppress(asyncio.CancelledError):
        await twin.run()


def _end(code: int, what: str, violation: Violation) -> int:
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
