"""The board's watchdog, and a bound on what it may do to the flash.

Each start writes to the flash and makes events. A fault that comes back at once would so wear the
flash and drive the readings out of the ring: after `MOST_RESETS` resets by the watchdog in a row
the meter runs without one until it has been well for an hour.
Neighbours: `supervisor` feeds it, `start_record` tells the reset, `main` has the board.
"""

import state as items

MOST_RESETS = 3
WELL_MS = 3600000


class Watchdog:
    """`feed` is the supervisor's."""

    def __init__(self, start, cause: str, state, uptime_ms) -> None:
        """Start it, unless it has reset the meter too often.

        Args:
            start: () → () → None: starts the board's watchdog and returns what feeds it.
            cause: why the board has started, as of `hal`.
            state: the durable items; the count is set, the caller saves.
            uptime_ms: () → milliseconds since boot.
        """
        kept = state.get(items.WATCHDOG)
        self.resets = min((kept[0] if kept else 0) + 1, 255) if cause == "watchdog" else 0
        self._start = start
        self._state = state
        self._uptime_ms = uptime_ms
        self._feed = None
        self._set()
        if self.resets < MOST_RESETS:
            self._feed = start()

    def _set(self) -> None:
        self._state.set(items.WATCHDOG, bytes([self.resets]) if self.resets else b"")

    def feed(self) -> None:
        """Feed it; all tasks have beaten."""
        is_well = self._uptime_ms() >= WELL_MS
        if self._feed is None and is_well:
            self._feed = self._start()
        if self._feed is not None:
            self._feed()
        if self.resets and is_well:
            self.resets = 0
            self._set()
            self._state.save()
