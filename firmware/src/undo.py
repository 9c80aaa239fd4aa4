"""Takes a metering tick back that memory was short for, so that it can be counted again as a whole.

Neither `mark` nor `back` needs memory: the values go into lists that are there. Used by `metering`.
"""


class Undo:
    """What a tick changes, as it was at the last mark."""

    def __init__(self, meter, counters: list, demand, ticks) -> None:
        """Take the parts.

        Args:
            meter: has `rate`, `month`, `aligned`.
            counters: all `Counter`s of it.
            demand: its `Demand`.
            ticks: its `UtcTicks`.
        """
        self._meter = meter
        self._counters = counters
        self._demand = demand
        self._ticks = ticks
        self._units = [0] * len(counters)
        self._remainders = [0] * len(counters)
        self._of_demand = [0] * 5
        self._of_meter = [0] * 5

    def mark(self) -> None:
        """Remember everything."""
        units, remainders, at = self._units, self._remainders, 0
        for counter in self._counters:
            units[at] = counter.units
            remainders[at] = counter.remainder
            at += 1
        kept, demand = self._of_demand, self._demand
        kept[0] = demand.joules
        kept[1] = demand.remainder_mj
        kept[2] = demand.interval
        kept[3] = demand.maximum_w
        kept[4] = demand.maximum_at
        kept, meter, ticks = self._of_meter, self._meter, self._ticks
        kept[0] = meter.rate
        kept[1] = meter.month
        kept[2] = meter.aligned
        kept[3] = ticks.utc_s
        kept[4] = ticks.utc_ms

    def back(self) -> None:
        """Make everything what it was at the last mark."""
        at = 0
        for counter in self._counters:
            counter.units = self._units[at]
            counter.remainder = self._remainders[at]
            at += 1
        kept, demand = self._of_demand, self._demand
        demand.joules = kept[0]
        demand.remainder_mj = kept[1]
        demand.interval = kept[2]
        demand.maximum_w = kept[3]
        demand.maximum_at = kept[4]
        kept, meter, ticks = self._of_meter, self._meter, self._ticks
        meter.rate = kept[0]
        meter.month = kept[1]
        meter.aligned = kept[2]
        ticks.utc_s = kept[3]
        ticks.utc_ms = kept[4]
