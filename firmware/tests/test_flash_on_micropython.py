"""Ring, actuators, EMS port, supervisor and signatures on MicroPython, 64- and 32-bit."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = Path(__file__).with_name("portable")
MODULES = [
    "test_ring", "test_capacity", "test_actuators", "test_supervisor", "test_p256", "test_orders",
    "test_clock_steps", "test_periods", "test_load_control", "test_ems", "test_calendars",
]  # fmt: skip


@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_portable_rules_of_the_shell_hold_on_micropython(arch):
    command = [ROOT / "tools/micropython/micropython", "--arch", arch, TESTS / "run.py"]
    paths = f"{ROOT}/wire/src:{ROOT}/firmware/src"
    done = subprocess.run(
        [*command, paths, TESTS, *MODULES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " failed 0" in done.stdout
