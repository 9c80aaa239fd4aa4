"""The store's promise under kill -9: what was acknowledged is there, once, in order."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from meter_twin.store import Store
from meter_twin.store_queries import START, Filter, load_page

A = b"A" * 8
_CHILD = """
import sys, os
from meter_twin.store import Batch, Store
path, seed = sys.argv[1], int(sys.argv[2])
store = Store(path)
marks = store.marks().get(b"A" * 8)
seq = marks.stored if marks else 0
while True:
    count = (seq * 7 + seed) % 9 + 1
    entries = [
        (n, bytes([1, 0, 0]) + n.to_bytes(4, "big") + b"%d" % n)
        for n in range(max(1, seq - 2), seq + count + 1)
    ]
    seq += count
    store.ingest([Batch(b"A" * 8, entries, (), seq, seq.to_bytes(16, "big"))], 0)
    os.write(1, b"%d\\n" % seq)
"""


@pytest.mark.parametrize("rounds", [25])
def test_acknowledged_entries_survive_kill_9_exactly_once(tmp_path, rounds):
    path = str(tmp_path / "twin.db")
    chance = random.Random(7)
    acknowledged = 0
    for seed in range(rounds):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, path, str(seed)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        first = child.stdout.readline()
        time.sleep(chance.random() * 0.15)
        child.send_signal(signal.SIGKILL)
        lines = (first + child.stdout.read()).split(b"\n")
        child.stdout.close()
        child.wait()
        acknowledged = max([acknowledged, *(int(line) for line in lines if line)])
        store = Store(path)
        rows = load_page(store, Filter(), START, 10**6)
        marks = store.marks()[A]
        store.close()
        numbers = [row.position.seq for row in rows]
        assert numbers == list(range(1, marks.stored + 1))
        assert marks.stored >= acknowledged
        assert int.from_bytes(marks.chain, "big") == marks.stored
        assert all(row.raw[7:] == b"%d" % row.position.seq for row in rows)
    assert acknowledged > rounds
