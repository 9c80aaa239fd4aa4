"""The boot number in the state: it rises with each start, up to its end. Both Pythons."""

from flash_with_cuts import CutFlash, Medium
from state import BOOT, State


def start(medium):
    state = State(CutFlash(medium))
    boot = state.next_boot()
    state.save()
    return boot


def test_the_boot_number_begins_at_one_and_rises_with_each_start():
    medium = Medium()
    assert [start(medium) for _ in range(3)] == [1, 2, 3]


def test_the_boot_number_goes_on_above_16_bits_and_stays_at_the_end_of_32():
    medium = Medium()
    state = State(CutFlash(medium))
    state.set(BOOT, (65534).to_bytes(4, "big"))
    state.save()
    assert [start(medium) for _ in range(3)] == [65535, 65536, 65537]
    state = State(CutFlash(medium))
    state.set(BOOT, (0xFFFFFFFE).to_bytes(4, "big"))
    state.save()
    assert [start(medium) for _ in range(2)] == [0xFFFFFFFF, 0xFFFFFFFF]
