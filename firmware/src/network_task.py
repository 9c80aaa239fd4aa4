"""Keeps the board in its wireless network, and tells the log when it is not.

The radio is asked, never waited for: measuring, loads and ring need no network. Neighbours: `hal`
(the radio), `link_task`, whose own attempts fail meanwhile and are repeated.
"""

import asyncio

TOLD_EVERY_MS = 60000


class NetworkTask:
    """Looks once a second; `run` is the task."""

    def __init__(self, network, uptime_ms, log) -> None:
        """Join later.

        Args:
            network: see `hal`.
            uptime_ms: () → milliseconds since boot.
            log: (text) → None.
        """
        self._network = network
        self._uptime_ms = uptime_ms
        self._log = log
        self._was_there = False
        self._told_ms = uptime_ms()

    async def run(self, beat) -> None:
        """Look for ever."""
        while True:
            beat()
            self.look()
            await asyncio.sleep(1)

    def look(self) -> None:
        """Look once."""
        now_ms = self._uptime_ms()
        is_there = self._network.poll(now_ms)
        if is_there and not self._was_there:
            self._log("wifi: connected")
        elif not is_there and (self._was_there or now_ms - self._told_ms >= TOLD_EVERY_MS):
            self._log("wifi: not connected; it is tried each half minute")
            self._told_ms = now_ms
        self._was_there = is_there
