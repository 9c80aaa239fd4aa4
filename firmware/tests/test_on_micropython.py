"""Runs the portable tests on MicroPython, 64- and 32-bit."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "tools/micropython/micropython"
TESTS = Path(__file__).with_name("portable")
METER = ["test_metering", "test_tariff", "test_quality"]
LINK = ["test_orders", "test_clock_and_periods", "test_small", "test_state"]
ACTING = ["test_actuators", "test_minimum_times", "test_trips", "test_inputs", "test_watchdog"]
LOCAL = [
    "test_local_options", "test_supervisor", "test_load_control", "test_local_control",
    "test_alone",
]  # fmt: skip
SOURCES = f"{ROOT}/firmware/src:{ROOT}/wire/src"


@pytest.mark.parametrize(
    ("arch", "heap", "modules"),
    [
        ("i386", "128k", METER),
        ("i386", "128k", ACTING),
        ("i386", "8m", [*LOCAL, "test_memory_errors"]),
        ("amd64", "8m", [*ACTING, *LOCAL]),
        ("i386", "8m", [*LINK, "test_electricity", "test_wire", "test_measuring"]),
        ("amd64", "8m", [*METER, *LINK, "test_electricity", "test_wire", "test_measuring"]),
    ],
)
def test_portable_rules_hold_on_micropython(arch, heap, modules):
    command = [LAUNCHER, "--arch", arch, "-X", f"heapsize={heap}", TESTS / "run.py"]
    done = subprocess.run(
        [*command, SOURCES, TESTS, *modules],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " failed 0" in done.stdout


def test_every_module_compiles_to_bytecode(tmp_path):
    sys.path.insert(0, str(ROOT / "firmware"))
    import build

    sizes = build.build(tmp_path / "out")
    assert {"main.mpy", "small.mpy", "meter_wire/portable/meter_link.mpy"} <= set(sizes)
    assert all((tmp_path / "out" / name).stat().st_size == size for name, size in sizes.items())
