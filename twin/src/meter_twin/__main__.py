"""`python3 -m meter_twin`: a twin, configured by METERTWIN_CONFIG and the files of its identity.

Exit codes: 0 asked to stop, 1 unexpected, 2 wrong configuration, 3 the store cannot be used.
Neighbour: `process` does it.
"""

import sys

from .process import run


def main() -> int:
    """Run a twin; return its exit code."""
    return run()


if __name__ == "__main__":
    sys.exit(main())
