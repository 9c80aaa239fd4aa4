"""Runs `small` and says how much heap is left; compiled into the image. MicroPython.

Neighbour: test_small_heap.py, which maps the image outside of the heap and calls `main`.
"""

# mypy: ignore-errors
# MicroPython: other modules, no annotations

import asyncio
import gc
import json
import time


async def _watch(meter):
    """Print the free heap, before and after a collection, and the open epochs, each second."""
    while True:
        await asyncio.sleep(1)
        before = gc.mem_free()
        gc.collect()
        print("HEAP run", gc.mem_free(), before, len(meter.link.epochs), meter.ring.head)


async def _run(meter):
    asyncio.create_task(_watch(meter))  # noqa: RUF006
    await meter.run()


def main(config):
    """Run the meter of a configuration file."""
    gc.collect()
    print("HEAP start", gc.mem_free())
    import small

    with open(config) as file:  # noqa: PTH123
        table = json.load(file)
    board = None
    if "pins" in table:
        from small_board import Board

        board = Board(table["pins"])
    meter = small.Small(table, None, time.ticks_ms, board)
    gc.collect()
    print("HEAP built", gc.mem_free())
    asyncio.run(_run(meter))
