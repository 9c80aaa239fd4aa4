"""Demand maximum 1.6.0: the largest mean import power of a block interval in the billing period.

Block demand (IEC 62053-52, demand by fixed intervals): energy of the interval over its full
length, so an interval with an outage or one that began before the meter did reads lower, never
higher. For the same reason a clock step throws away what the running interval had before it.
"""


class Demand:
    """Energy of the running interval and the maximum of the billing period."""

    def __init__(self, period_s: int = 900) -> None:
        """`period_s`: interval length in seconds; intervals end at its multiples in UTC."""
        self.period_s = period_s
        self.joules = 0
        self.remainder_mj = 0
        self.interval = 0
        self.maximum_w = 0
        self.maximum_at: int | None = None

    def add(self, power_w: int, duration_ms: int) -> None:
        """Add imported power over `duration_ms` to the running interval."""
        joules, self.remainder_mj = divmod(self.remainder_mj + power_w * duration_ms, 1000)
        self.joules += joules

    def align(self, utc_s: int) -> None:
        """Keep the running energy only if it belongs to the interval of `utc_s` (after a boot)."""
        interval = utc_s // self.period_s
        if interval != self.interval:
            self.discard()
            self.interval = interval

    def close(self, end_utc_s: int) -> None:
        """End the interval at the UTC boundary `end_utc_s` and keep its mean if it is larger."""
        mean_w = self.joules // self.period_s
        if mean_w > self.maximum_w:
            self.maximum_w = mean_w
            self.maximum_at = end_utc_s
        self.discard()
        self.interval = end_utc_s // self.period_s

    def discard(self) -> None:
        """Forget the running interval: its length is not known."""
        self.joules = 0
        self.remainder_mj = 0

    def reset(self) -> None:
        """Begin a new billing period."""
        self.maximum_w = 0
        self.maximum_at = None
