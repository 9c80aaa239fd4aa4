"""Every module compiles for each processor that a meter has; native code is for one at a time."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "firmware"))

ARCHITECTURES = {
    "xtensa": "ESP8266",
    "xtensawin": "ESP32",
    "armv7m": "STM32L431 (BearPi), emulated Cortex-M3",
    "x86": "unix port, 32-bit",
    "x64": "unix port, 64-bit",
}
VIPER = """
import micropython

@micropython.viper
def total(values: ptr32, count: int) -> int:
    found = 0
    for place in range(count):
        found += values[place]
    return found
"""
THUMB = """
import micropython

@micropython.asm_thumb
def double(r0):
    add(r0, r0, r0)
"""


def compiled(source, march):
    from instructions import compile_mpy

    return compile_mpy(source, source.name, march)


@pytest.mark.parametrize("march", ARCHITECTURES)
def test_every_module_compiles_for_each_architecture(march):
    import firmware_sources

    for source in firmware_sources.sources().values():
        assert compiled(source, march)


def test_native_code_is_made_for_the_architecture_that_is_asked_for(tmp_path):
    source = tmp_path / "native.py"
    source.write_text(VIPER)
    assert len({compiled(source, march) for march in ARCHITECTURES}) == len(ARCHITECTURES)


def test_code_of_another_architecture_does_not_compile(tmp_path):
    source = tmp_path / "thumb.py"
    source.write_text(THUMB)
    assert compiled(source, "armv7m")
    with pytest.raises(RuntimeError, match="registers"):
        compiled(source, "xtensa")
