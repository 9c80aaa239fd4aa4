"""Runs `small` from a ROMFS image as a board does, and says how much heap is left. MicroPython.

    micropython -X heapsize=38k small_meter.py IMAGE CONFIG

The image is mapped, not read: its bytecode stays outside of the heap, as in flash.
"""

import asyncio
import gc
import os
import sys

import ffi
import uctypes
import vfs


def mapped(path):
    """Return the content of a file as bytes in memory outside of the heap."""
    libc = ffi.open("libc.so.6")
    handle = libc.func("i", "open", "si")(path, 0)
    size = os.stat(path)[6]
    return uctypes.bytearray_at(libc.func("P", "mmap", "PIiiiI")(None, size, 1, 2, handle, 0), size)


image = mapped(sys.argv[1])
vfs.mount(vfs.VfsRom(image), "/rom")
sys.path[:] = ["/rom", ".frozen"]
gc.collect()
print("HEAP start", gc.mem_free())

import json  # noqa: E402

import small  # noqa: E402

with open(sys.argv[2]) as file:
    meter = small.Small(json.load(file))
gc.collect()
print("HEAP built", gc.mem_free())


async def watch():
    """Print the free heap, before and after a collection, and the open epochs, each second."""
    while True:
        await asyncio.sleep(1)
        before = gc.mem_free()
        gc.collect()
        print("HEAP run", gc.mem_free(), before, len(meter.link.epochs), meter.ring.head)


async def run():
    """Run the meter beside the watch."""
    watching = asyncio.create_task(watch())
    await meter.run()
    watching.cancel()


asyncio.run(run())
