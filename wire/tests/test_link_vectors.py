"""The golden vectors of link version 1 on CPython and on 64- and 32-bit MicroPython."""

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest
from meter_wire.tables import FRAME_TYPES

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
FILE = ROOT / "wire/vectors/link-v1.json"
LAUNCHER = ROOT / "tools/micropython/micropython"
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
    assert {kind for _, kind in frames} == {row.number for row in FRAME_TYPES}
    assert frames.count(("up", 0x07)) == 2
    assert frames.count(("down", 0x8B)) == 2
    assert frames.count(("down", 0x8A)) == 2
    assert [step[3] for step in steps if step[0] == "down"].count("order") == 1


@pytest.mark.parametrize("arch", ["amd64", "i386"])
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
