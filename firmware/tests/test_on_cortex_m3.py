"""The meter's rules and what its work costs, on an emulated Cortex-M3 (STM32L431 class)."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "firmware"))

MODULES = ["metering", "tariff", "quality", "p256", "crc", "waveform", "calibration"]
"""What needs neither asyncio nor time nor files: this port has none."""
RUN = """
sys.argv[:] = ["run.py", "/rom", "/rom", "test_{module}"]
try:
    import run
except SystemExit:
    pass
"""


@pytest.mark.parametrize("module", MODULES)
def test_portable_rules_hold_on_a_cortex_m3(module):
    from instructions import make_image, portable_tests, run

    image = make_image(portable_tests())
    said = run(image, RUN.format(module=module))
    assert " failed 0" in said, said
    assert "passed 0" not in said


@pytest.fixture(scope="module")
def counted():
    from instructions import count

    return count()


def test_a_loop_of_two_instructions_is_counted_exactly(counted):
    assert abs(counted["loop_1000"] - counted["loop_0"] - 2000) <= 1


def test_the_meter_s_work_stays_within_its_instructions(counted):
    from instructions import BUDGETS

    over = {name: counted[name] for name, (_, most) in BUDGETS.items() if counted[name] > most}
    assert not over


def test_native_code_takes_a_quarter_of_bytecode_s_instructions_for_an_rms(counted):
    assert counted["rms_80_viper"] * 4 < counted["rms_80"]
