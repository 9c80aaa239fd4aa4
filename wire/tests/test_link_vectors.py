"""The golden vectors of link version 1 on CPython and on 64- and 32-bit MicroPython."""

import hashlib
import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest
from meter_wire import tables

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
FILE = ROOT / "wire/vectors/link-v1.json"
LAUNCHER = ROOT / "tools/micropython/micropython"
STEPS, ORDERS, ENCRYPTED_STEPS = 87, 15, 48
TABLES = {
    "FRAME_TYPES": 18,
    "TAGS": 52,
    "ENTRY_KINDS": 2,
    "ENTRY_TAGS": 4,
    "STATUS": 8,
    "FORM_BITS": 4,
    "HOLES": 3,
    "ANSWERS": 10,
    "TARGETS": 3,
    "CAPABILITIES": 6,
    "CLOCK_STATES": 2,
    "SIGNATURES": 2,
    "ORDER_TAGS": 10,
    "ORDER_ACTIONS": 3,
    "OWNER_TAGS": 9,
    "OWNER_HELLO_TAGS": 6,
}
"""How many rows of each table are frozen."""
FROZEN_TRANSCRIPT = "56b4aa1da56f466f"
FROZEN_BYTES = "77aaae6afecbc80d"
FROZEN_NUMBERS = "498d75716f92f3df"
FROZEN_CALENDARS = "e0a9b28491a7eb8c"
"""Of what was added with the calendars: 4 orders, 3 steps, 15 calendars, 3 numbers."""
FROZEN_BOUNDS = "79e4a10ddc45c261"
"""Of the calendars that have the most rows, or one more."""
FROZEN_ENCRYPTION = "c94c648fac1cfeb4"
"""Of what was added with encrypted sessions: a key, 48 steps, a tag, a capability."""
PROGRAM = """
import sys, json
sys.path[:0] = [{tests!r}, {source!r}]
import link_vectors
print("failed", link_vectors.run(json.load(open({file!r}))))
"""


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_vectors_hold_on_cpython():
    assert load("link_vectors").run(json.loads(FILE.read_text())) == []


def test_a_changed_vector_is_noticed():
    vectors = json.loads(FILE.read_text())
    ups = [step for step in vectors["transcript"] if step[0] == "up"]
    ups[-1][2] = ups[-1][2][:-2] + f"{int(ups[-1][2][-2:], 16) ^ 1:02x}"
    assert load("link_vectors").run(vectors) != []


def test_the_transcript_has_every_frame_type_segments_both_ways_and_orders():
    steps = json.loads(FILE.read_text())["transcript"]
    frames = [(s[0], int(s[2][2:4], 16)) for s in steps if s[0] in ("up", "down") and s[1]]
    assert {kind for _, kind in frames} == {row.number for row in tables.FRAME_TYPES}
    assert frames.count(("up", 0x07)) == 2
    assert frames.count(("down", 0x8B)) == 2
    assert frames.count(("down", 0x8A)) == 3
    assert [step[3] for step in steps if step[0] == "down"].count("order") == 2


def digest(document):
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()[:16]


def test_link_version_1_is_frozen():
    """A difference is link version 2: deployed meters would not understand it. Only append."""
    vectors = json.loads(FILE.read_text())
    assert digest(vectors["transcript"][:STEPS]) == FROZEN_TRANSCRIPT
    rows = [vectors[key] for key in ("integers", "meter_key", "epoch_keys")]
    assert digest([*rows, vectors["orders"]["rows"][:ORDERS]]) == FROZEN_BYTES
    numbers = [
        [row.number, row.name] for name in TABLES for row in getattr(tables, name)[: TABLES[name]]
    ]
    assert digest(numbers) == FROZEN_NUMBERS
    added = (*tables.ORDER_TAGS[10:12], *tables.ORDER_ACTIONS[3:4])
    rows = [vectors["orders"]["rows"][ORDERS:19], vectors["transcript"][STEPS:90]]
    rows += [vectors["calendars"][:15], [[row.number, row.name] for row in added]]
    assert digest(rows) == FROZEN_CALENDARS
    assert digest(vectors["calendars"][15:18]) == FROZEN_BOUNDS
    added = (*tables.TAGS[52:53], *tables.CAPABILITIES[6:7])
    rows = [vectors["encryption"]["keys"], vectors["encryption"]["transcript"][:ENCRYPTED_STEPS]]
    assert digest([*rows, [[row.number, row.name] for row in added]]) == FROZEN_ENCRYPTION


@pytest.mark.parametrize("arch", ["amd64", "i386", "esp8266-model"])
def test_the_vectors_hold_on_micropython(arch):
    program = PROGRAM.format(tests=str(HERE), source=str(ROOT / "wire/src"), file=str(FILE))
    command = [LAUNCHER, "--arch", arch, "-X", "heapsize=512k", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "failed []", done.stdout + done.stderr


@pytest.mark.parametrize("tool", ["link_vectors", "link_reference"])
def test_generated_files_are_what_the_code_makes(tool):
    command = [sys.executable, ROOT / f"wire/tools/{tool}.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
