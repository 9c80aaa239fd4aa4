"""What a successor says in its log about the twins before it."""

import json
from types import SimpleNamespace

from meter_twin.successor import Successor
from meter_twin.taking import Covered

ROOT = bytes(16)


def test_each_step_of_a_taking_over_is_logged_once(capsys):
    taker = SimpleNamespace(covered={})
    succession, host = SimpleNamespace(taker=taker), SimpleNamespace(beginners=[])
    successor = Successor(succession, None, None, None, host, None, None, None)
    successor._say()
    for covered in (
        Covered(ROOT, "", final=False),
        Covered(b"another tail", "", final=False),
        Covered(ROOT, "attempt", final=False),
        Covered(ROOT, "", final=True),
    ):
        taker.covered = {7: covered}
        successor._say()
        successor._say()
    rows = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(row["what"], row["epoch"], row["state"]) for row in rows] == [
        ("older twin covered", 7, "active"),
        ("older twin covered", 7, "frozen"),
        ("older twin covered", 7, "retired"),
    ]
