"""Keeps what a run of every cell has shown, for the page that tells it.

`tools/reference/figures.py` makes a table of the file. Neighbour: `conftest`, which calls this.
"""

import json
import sys

from demo import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import figure
from faults import FAULTS
from flows import FLOWS

RESULTS = ROOT / "bench/handover_matrix.json"


def keep_cells(outcomes):
    """Write how each cell has ended, if all were run: the slowest where it was repeated."""
    order = [f"{flow}:{fault}" for flow in FLOWS for fault in FAULTS]
    cells = {}
    for one in sorted(outcomes, key=lambda one: one.seconds):
        before = cells.get(one.cell, {"passed": True})
        cells[one.cell] = {
            "passed": before["passed"] and bool(one.hit and not one.error),
            "result": one.result,
            "seconds": one.seconds,
            "tries": one.tries,
        }
    if set(order) <= cells.keys():  # the small meters' are not in the table
        _keep("cells", {"cells": {name: cells[name] for name in order}})


def keep_fifty(rollouts):
    """Write the seconds of each rollout of the fifty meters, in their order."""
    _keep("fifty", {"rollouts": [[what, round(seconds, 1)] for what, seconds in rollouts]})


def _keep(part, found):
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    kept[part] = found | {"machine": figure.describe_machine()}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
