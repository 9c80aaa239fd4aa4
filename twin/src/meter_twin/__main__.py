"""`python3 -m meter_twin`: a twin, configured by METERTWIN_CONFIG and the files of its identity.

Exit codes: 0 asked to stop, 1 unexpected, 2 wrong configuration, 3 the store cannot be used.
Neighbour: `process` does it.
"""

import gc
import sys


def main() -> int:
    """Run a twin; return its exit code.

    What imports make stays as long as the process. So the garbage collector searches it neither
    while they run, which is one twentieth of the processor time of a start, nor ever after.
    """
    gc.disable()
    from .process import run  # noqa: PLC0415 - after the line above

    gc.freeze()
    gc.enable()
    return run()


if __name__ == "__main__":
    sys.exit(main())
