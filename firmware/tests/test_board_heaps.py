"""The portable rules in the heap of each board, from bytecode in place, as a board runs them.

The ESP8266 is the model of `tools/micropython`, the ESP32 the 32-bit unix port: 64 KB is what its heap
begins with, 128 KB what it may grow to. Tests are compiled with their asserts.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORTABLE = Path(__file__).with_name("portable")
sys.path[:0] = [str(ROOT / "firmware"), str(ROOT / "firmware/tests")]

from small_image import image_command

PARTS_OF_38K = [
    "actuators", "calibration", "chips", "crc", "hal", "inputs", "local_options", "metering",
    "minimum_times", "network_task", "p256", "pulses", "quality", "ring", "state", "tariff", "trips",
    "watchdog", "waveform",
]  # fmt: skip
"""Each of these has room, tests and all, in the heap of an ESP8266."""
PARTS_OF_64K = [
    "clock_steps", "credential_store", "orders", "periods", "renewal", "sntp", "supervisor",
]  # fmt: skip
"""Rules of several parts at once, of the whole firmware, which is for 128 KB."""
SIMULATED = ("electricity", "wire")
"""No board simulates what it measures."""
NAMES = sorted(path.stem.removeprefix("test_") for path in PORTABLE.glob("test_*.py"))
OTHERS = [name for name in NAMES if name not in (*PARTS_OF_38K, *PARTS_OF_64K, *SIMULATED)]
"""They keep a flash, many frames or the longest calendars in the heap beside what they test. Small's own
are among them: what holds in 38 KB is the bundle, and `test_small_heap` runs that."""
RUN = """
sys.argv[:] = ["run.py", "/rom", "/rom", "test_NAME"]
import run
"""
ROWS = [
    *[("esp8266-model", "38k", name) for name in PARTS_OF_38K],
    *[("esp8266-model", "64k", name) for name in PARTS_OF_64K],
    *[("esp8266-model", "8m", name) for name in OTHERS],
    *[("i386", "64k", name) for name in [*PARTS_OF_38K, *PARTS_OF_64K]],
    *[("i386", "128k", name) for name in ("chip_front_end", "ems", "load_control")],
]


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """Return the file of an image with the firmware and all portable tests."""
    from instructions import make_image, portable_tests

    file = tmp_path_factory.mktemp("image") / "tests.romfs"
    file.write_bytes(make_image(portable_tests(), "none"))
    return file


@pytest.mark.parametrize(("arch", "heap", "name"), ROWS)
def test_portable_rules_hold_in_a_board_s_heap(image, arch, heap, name):
    command = image_command(image, RUN.replace("NAME", name), ROOT, arch, heap)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert " failed 0" in done.stdout, done.stdout + done.stderr
    assert not done.stdout.startswith("passed 0 ")


def test_the_model_has_the_numbers_and_the_lacks_of_an_esp8266(image):
    code = """
import binascii, math
print(16777216.0 + 1.0 == 16777216.0, 0.1 + 0.2 == 0.3, hasattr(binascii, "crc32"), hasattr("", "partition"))
"""
    command = image_command(image, code, ROOT, "esp8266-model", "38k")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["True", "True", "False", "False"], done.stdout + done.stderr
