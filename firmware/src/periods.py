"""Capture period and report spread: from the configuration until the twin sets another, then kept.

What was set by a `write` counts over reboots; a changed `meter.json` does not undo it. Neighbours:
`commands` sets, `measuring` captures, `main` hands the spread to the link.
"""

import state as items

_UNSET = 0xFFFF
MAX_SPREAD_S = 3600


class Periods:
    """`capture_s` and `spread_s`, and which of them were set."""

    def __init__(self, state, capture_s: int, spread_s: int) -> None:
        """Take what is kept, else what the configuration says."""
        self._state = state
        kept = state.get(items.PERIODS)
        self._set_capture_s = int.from_bytes(kept[:4], "big")
        self._set_spread_s = int.from_bytes(kept[4:6], "big") if len(kept) > 5 else _UNSET
        self.capture_s = self._set_capture_s or capture_s
        self.spread_s = spread_s if self._set_spread_s == _UNSET else self._set_spread_s

    def set_capture(self, period_s: int) -> bool:
        """Change the capture period, durable; False if it is not usable."""
        if not 1 <= period_s <= 86400 or (60 % period_s and period_s % 60):
            return False
        self.capture_s = self._set_capture_s = period_s
        self._keep()
        return True

    def set_spread(self, spread_s: int) -> bool:
        """Change the report spread, durable; False if it is out of bounds."""
        if not 0 <= spread_s <= MAX_SPREAD_S:
            return False
        self.spread_s = self._set_spread_s = spread_s
        self._keep()
        return True

    def _keep(self) -> None:
        content = self._set_capture_s.to_bytes(4, "big") + self._set_spread_s.to_bytes(2, "big")
        self._state.set(items.PERIODS, content)
        self._state.save()
