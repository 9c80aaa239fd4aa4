"""Cuts the power at every flash operation of a life and in the start after it. MicroPython.

    power_cuts.py SOURCES LIFE READINGS WAYS AGAIN

WAYS 1 cuts each operation in one of the three ways in turn, 3 in all; each AGAIN-th cut is followed by a
second one at every operation of the start that comes after it. The life runs once: up to a cut it is
the same each time, so that the flash at each cut follows from the journal.
"""

import gc
import sys

SOURCES, LIFE = sys.argv[1], sys.argv[2]
READINGS, WAYS_EACH, AGAIN = [int(text) for text in sys.argv[3:6]]
sys.path[:0] = SOURCES.split(":")

import nor_flash
from nor_flash import WAYS, NorFlash
from story import Story

BLOCKS = 24
life = __import__("parts" if LIFE == "parts" else "meters")
live, check, follow = [getattr(life, f"{what}_{LIFE}") for what in ("live", "check", "follow")]


def record():
    """Let the life run whole; return (flash before it, story, journal)."""
    device = NorFlash(BLOCKS)
    nor_flash.format_flash(device)
    before = bytearray(device.data)
    device.journal = []
    nor_flash.mount(device)
    story = Story(device)
    live(story, READINGS)
    journal = device.journal
    nor_flash.power_off(device)
    return before, story, journal


def start(data, story, operations, journal=None):
    """Start on a copy of the flash, hold it against the story, go on."""
    device = NorFlash(BLOCKS, bytearray(data))
    device.journal = journal
    try:
        nor_flash.mount(device)
        meter = check(story, operations)
        if journal is None:
            follow(meter)
    finally:
        nor_flash.power_off(device)


def cut_again(data, story, operations):
    """Cut the start at each of its operations, and start once more; return how many these were."""
    journal = []
    start(data, story, operations, journal)
    device = NorFlash(BLOCKS, bytearray(data))
    for at in range(len(journal)):
        torn = bytearray(device.data)
        nor_flash.tear(torn, journal[at], at % WAYS)
        start(torn, story, operations)
        nor_flash.apply(device.data, journal[at])
    return len(journal)


def main():
    """Return the number of cuts after which something was wrong."""
    data, story, journal = record()
    cuts = second = failed = 0
    for operations in range(len(journal)):
        for turn in range(WAYS_EACH):
            way = (operations + turn) % WAYS
            torn = bytearray(data)
            nor_flash.tear(torn, journal[operations], way)
            cuts += 1
            try:
                start(torn, story, operations)
                if AGAIN and cuts % AGAIN == 0:
                    second += cut_again(torn, story, operations)
            except Exception as error:  # noqa: BLE001 - reported below
                failed += 1
                if failed < 4:
                    print("cut at", operations, "way", way)
                    sys.print_exception(error)
        nor_flash.apply(data, journal[operations])
        if operations % 16 == 0:
            gc.collect()
    print(LIFE, "operations", len(journal), "cuts", cuts, "second", second, "failed", failed)
    return failed


sys.exit(1 if main() else 0)
