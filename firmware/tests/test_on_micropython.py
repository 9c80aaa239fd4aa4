"""Runs the portable tests on MicroPython, 64- and 32-bit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCHER = ROOT / "tools/micropython/micropython"
TESTS = Path(__file__).with_name("portable")
METER = ["test_metering", "test_tariff", "test_quality"]
LINK = [
    "test_orders",
    "test_clock_steps",
    "test_periods",
    "test_small",
    "test_small_kept",
    "test_small_local",
    "test_load_curve",
    "test_state",
    "test_told",
    "test_hal",
    "test_board_clock",
    "test_crc",
    "test_sntp",
    "test_renewal",
    "test_credential_store",
]
CHIPS = ["test_calibration", "test_pulses", "test_chips"]
ACTING = ["test_actuators", "test_minimum_times", "test_trips", "test_inputs", "test_watchdog"]
LOCAL = [
    "test_serial_ems",
    "test_local_options", "test_supervisor", "test_load_control", "test_local_control",
    "test_alone",
]  # fmt: skip
SOURCES = f"{ROOT}/firmware/src:{ROOT}/wire/src"


@pytest.mark.parametrize(
    ("arch", "heap", "modules"),
    [
        ("i386", "128k", METER),
        ("i386", "128k", CHIPS),
        ("i386", "128k", ["test_waveform"]),
        ("i386", "128k", ACTING),
        ("i386", "8m", [*LOCAL, "test_memory_errors"]),
        ("amd64", "8m", [*ACTING, *LOCAL]),
        ("i386", "8m", [*LINK, "test_electricity", "test_wire", "test_measuring"]),
        ("i386", "8m", ["test_chip_front_end", "test_chips_on_boards"]),
        ("amd64", "8m", [*METER, *LINK]),
        ("amd64", "8m", ["test_electricity", "test_wire", "test_measuring"]),
        ("amd64", "8m", [*CHIPS, "test_waveform", "test_chip_front_end", "test_chips_on_boards"]),
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


def test_each_board_gets_bytecode_and_its_size_is_told(tmp_path):
    sys.path.insert(0, str(ROOT / "firmware"))
    import board_file
    import build_firmware

    out = tmp_path / "out"
    built = build_firmware.build([board_file.load_board(name) for name in board_file.names()], out)
    assert {"lib/main.mpy", "lib/hal/esp32.mpy", "main.py"} <= set(built["esp32"])
    assert "lib/hal/unix.mpy" not in built["esp32"]
    assert set(built["esp8266"]) == {"small.romfs", "main.py"}
    for board, sizes in built.items():
        for name, size in sizes.items():
            assert (out / board / name).stat().st_size == size
    told = json.loads((out / "size.json").read_text())
    assert told["esp32"]["total"] == sum(told["esp32"]["files"].values())
    package = json.loads((out / "esp32/package.json").read_text())
    assert ["hal/esp32.mpy", "lib/hal/esp32.mpy"] in package["urls"]
    assert all((out / "esp32" / path).exists() for _, path in package["urls"])


def test_a_source_that_does_not_compile_is_told_with_the_compilers_text(tmp_path):
    sys.path.insert(0, str(ROOT / "firmware"))
    import bytecode

    source = tmp_path / "wrong.py"
    source.write_text("def half(:\n")
    with pytest.raises(RuntimeError, match="SyntaxError"):
        bytecode.compile_to(tmp_path / "wrong.mpy", source, "wrong.py")
