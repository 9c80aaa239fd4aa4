"""Which hellos are believed and when they are answered. No I/O; time is an argument.

A hello is authentic when the meter's own key signed it, but a meter may be in foreign hands, and
what it says raises a floor that never falls. So it may neither use up the numbers nor the cluster.
Neighbour: `messenger`, which opens and answers them.
"""

from meter_operator.desired import Meter

# A cluster that was restored from a backup is behind by what was decided since: a few.
MOST_AHEAD = 1 << 16


class FarAheadError(ValueError):
    """A hello or record names an epoch or counter that no restored cluster explains."""


def check_near(device: str, meter: Meter | None, epoch: int, counter: int) -> None:
    """Refuse what is more than `MOST_AHEAD` above status; without a resource, above zero.

    Raises:
        FarAheadError: it is.
    """
    known = (meter.highest_epoch, meter.owner_counter) if meter else (0, 0)
    if epoch > known[0] + MOST_AHEAD or counter > known[1] + MOST_AHEAD:
        raise FarAheadError(f"{device}: epoch {epoch}, counter {counter}; status has {known}")
