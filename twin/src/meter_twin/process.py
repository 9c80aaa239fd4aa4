"""The start of a twin: configuration, ports, then all that takes long to import.

Neighbours: `__main__` calls it, `listening` says why the ports come first, `serving` goes on.
"""

import gc
import os

from . import log
from .configuration import ConfigurationError, load_configuration
from .ending import EXIT_CONFIGURATION, end, fail
from .listening import listen
from .option_schema import Violation


def run() -> int:
    """Run a twin; return its exit code.

    What imports make stays as long as the process. So the garbage collector searches it neither
    while they run, which is one twentieth of the processor time of a start, nor ever after.
    """
    gc.disable()
    log.capture_standard_logging()
    os.umask(0o077)
    try:
        configuration = load_configuration(os.environ.get("METERTWIN_CONFIG"))
        listening = listen(configuration)
    except ConfigurationError as error:
        return end(EXIT_CONFIGURATION, "configuration is wrong", error.violation)
    except OSError as error:
        violation = Violation("ports", f"{type(error).__name__}: {error}", "free the port")
        return end(EXIT_CONFIGURATION, "twin cannot serve", violation)
    except Exception as error:  # noqa: BLE001 - named by type and place
        return fail(error)
    from .serving import serve  # noqa: PLC0415 - long, so after the ports

    gc.freeze()
    gc.enable()
    return serve(configuration, listening)
