"""`python3 -m meter_operator_next`: the stock operator's process with this version's template."""

import sys

import meter_operator
from meter_operator import builders
from meter_operator.__main__ import main as run

from meter_operator_next import __version__


def main() -> int:
    """Run an operator; return its exit code."""
    meter_operator.__version__ = __version__
    builders.TEMPLATE_REVISION += 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
