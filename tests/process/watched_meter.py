"""Runs the firmware and reports what it refused and how much heap it holds. MicroPython.

The meter counts refusals in memory only; this prints them, four times a second. Neighbour:
`attack`, which reads the lines.
"""

# mypy: ignore-errors
# MicroPython: other modules, no annotations

import asyncio
import gc
import json
import sys

import main
from config import load_config


async def _report(firmware):
    while True:
        await asyncio.sleep_ms(250)
        gc.collect()
        row = {"refused": firmware.commands.link.refused, "heap": gc.mem_alloc()}
        print("WATCH " + json.dumps(row))


async def _run(firmware):
    asyncio.create_task(_report(firmware))  # noqa: RUF006
    await firmware.run()


asyncio.run(_run(main.Firmware(load_config(sys.argv[2]))))
