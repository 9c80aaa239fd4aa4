"""State, ring and the small meter on a real littlefs of which the power is cut at every operation.

MicroPython's own littlefs over a NOR flash in RAM, 64- and 32-bit. Neighbour: littlefs/power_cuts.py.
"""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "tools/micropython/micropython"
LITTLEFS = Path(__file__).with_name("littlefs")
SOURCES = f"{ROOT}/wire/src:{ROOT}/firmware/src:{LITTLEFS}"
ALL_WAYS = 3


def cut_power(arch, life, readings, ways, again):
    """Run the sweep; return (operations, cuts, second cuts)."""
    command = [LAUNCHER, "--arch", arch, "-X", "heapsize=16m", LITTLEFS / "power_cuts.py"]
    arguments = [SOURCES, life, *map(str, (readings, ways, again))]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    print(done.stdout)
    return tuple(map(int, re.findall(r"(?:operations|cuts|second) (\d+)", done.stdout)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("arch", ["amd64", "i386"])
@pytest.mark.parametrize(
    ("life", "readings", "least"), [("parts", 44, 1000), ("whole", 30, 400), ("small", 60, 350)]
)
def test_a_cut_at_any_flash_operation_loses_nothing_that_was_reported(arch, life, readings, least):
    operations, cuts, second = cut_power(arch, life, readings, 1, 197)
    assert cuts == operations > least
    assert second > 0


@pytest.mark.parametrize(
    ("what", "most_erases", "most_of_a_block"),
    [
        ("small 2 900 251 262144", 210, 12),
        ("small 2 60 251 262144", 1700, 30),
        ("whole 2 900 240 393216", 1650, 30),
    ],
)
def test_a_day_of_readings_wears_the_flash_no_more_than_the_readme_says(
    what, most_erases, most_of_a_block
):
    command = [LAUNCHER, "-X", "heapsize=16m", LITTLEFS / "wear.py", SOURCES, *what.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(what, done.stdout)
    erases, block, _mean = map(float, re.findall(r"[\d.]+", done.stdout))
    assert erases <= most_erases
    assert block <= most_of_a_block


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("arch", ["amd64", "i386"])
@pytest.mark.parametrize(("life", "readings"), [("parts", 80), ("whole", 80), ("small", 150)])
def test_a_cut_in_every_way_and_a_second_one_lose_nothing(arch, life, readings):
    operations, cuts, _second = cut_power(arch, life, readings, ALL_WAYS, 7)
    assert cuts == ALL_WAYS * operations
