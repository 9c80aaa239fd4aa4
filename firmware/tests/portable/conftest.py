"""Lets the portable tests import what lies beside them, as `run.py` does on MicroPython."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
