"""The small profile's first time from the network: asked until there is one.

Loaded only when `meter.json` has `sntp`. Neighbours: `sntp` (packets), `small`, which starts it.
"""

import asyncio
import gc
import os

from sntp import FIRST_PAUSE_S, MAX_PAUSE_S, PORT, ask


async def ask_first(meter) -> None:
    """Ask the server of `meter.json` while the clock is invalid, less and less often."""
    row = meter.table["sntp"]
    pause_s = FIRST_PAUSE_S
    while not meter.clock.valid:
        try:
            utc_ms = await ask(row["host"], row.get("port", PORT), os.urandom, meter.uptime_ms)
            meter.set_first(utc_ms)
        except Exception as error:
            print("sntp:", type(error).__name__)
            gc.collect()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_PAUSE_S)
