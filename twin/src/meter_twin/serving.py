"""Serve until asked to stop, and turn what ends a twin into an exit code.

Neighbours: `process` calls it, `shell` does the work, `ending` tells why.
"""

import asyncio
import contextlib
import signal
import ssl

from .configuration import Configuration, ConfigurationError
from .ending import EXIT_CONFIGURATION, EXIT_STORE, end, fail
from .listening import Listening
from .option_schema import Violation
from .shell import Twin
from .store_schema import StoreError


def serve(configuration: Configuration, listening: Listening) -> int:
    """Serve on these sockets; return the exit code."""
    try:
        asyncio.run(_serve(configuration, listening))
    except ConfigurationError as error:
        return end(EXIT_CONFIGURATION, "configuration is wrong", error.violation)
    except StoreError as error:
        violation = Violation("paths.store", str(error), error.remedy)
        return end(EXIT_STORE, "store cannot be used", violation)
    except Exception as error:  # noqa: BLE001 - named by type and place
        return fail(error)
    return 0


async def _serve(configuration: Configuration, listening: Listening) -> None:
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
        await twin.run(listening)
