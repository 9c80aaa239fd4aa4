"""`python3 -m meter_twin_next`: the stock twin's process with this version's applications.

Neighbour: `meter_twin.__main__`, which says what is configured where and the exit codes.
"""

import sys

import meter_twin
from meter_twin import registry
from meter_twin.__main__ import main as run

from meter_twin_next import APPLICATIONS, __version__


def main() -> int:
    """Run a twin; return its exit code."""
    meter_twin.__version__ = __version__
    registry.APPLICATIONS.update(APPLICATIONS)
    return run()


if __name__ == "__main__":
    sys.exit(main())
