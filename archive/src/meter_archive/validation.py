"""What is doubtful about readings, as a checklist. Pure: a context in, findings out.

Sources: "CA VEE" is the California "Standards for Validating, Editing, and Estimating Monthly and
Interval Data" (A: interval data, B: monthly data). Where a rule or a number is ours, the check says
why. A check's version rises when it would find anything else. Neighbours: `findings`, `like_days`,
`gaps`.
"""

from itertools import groupby, pairwise
from statistics import median

from meter_wire.tables import STATUS, number_of

from meter_archive.findings import Check, Context, Finding
from meter_archive.intervals import Bucket, Stretch, stretches

_CLOCK_ADJUSTED = number_of(STATUS, "clock_adjusted")
_ACTIVE_EXPORT, _CUMULATIVE = 2, 8
_HOUR_S = 3600
STUCK_INTERVALS = 8
LEAST_DAYS = 10
SPIKE_DEVIATIONS = 10
LEAST_DEVIATION_DIVISOR = 20
NIGHT_END_MINUTE = 5 * 60
NIGHT_INTERVALS = 4


def sum_mismatch(context: Context) -> list[Finding]:
    """Intervals, estimates included, do not sum to what the register moved.

    CA VEE, sum check. It allows for pulse rounding; integers of one register need no tolerance.
    """
    energies = [bucket.energy for bucket in context.buckets if bucket.energy is not None]
    if context.advance is None or len(energies) < len(context.buckets):
        return []
    if sum(energies) == context.advance:
        return []
    begin_s, end_s = context.buckets[0].start_s, context.buckets[-1].end_s
    text = f"{len(energies)} intervals do not sum to the register's advance"
    return [Finding("sum_mismatch", 1, begin_s, end_s, context.register, text)]


def negative_advance(context: Context) -> list[Finding]:
    """A cumulative register is lower than in the reading before it, by number.

    Ours: seen in the meter's own order, which clock steps and late arrival do not change.
    """
    found = []
    order = sorted(context.readings, key=lambda one: (one.incarnation, one.seq))
    for before, after in pairwise(order):
        if after.value < before.value:
            same = after.incarnation == before.incarnation
            text = "the register went back" if same else "the register began anew with the meter"
            first_s, last_s = sorted((before.time_s, after.time_s))
            row = Finding("negative_advance", 1, first_s, last_s, context.register, text)
            found.append(row)
    return found


def stuck_register(context: Context) -> list[Finding]:
    """No advance for two hours while the companion moved, or longer than ever by history.

    Ours: a register that stands still is normal in an empty house, so it has to contradict another
    register, or twice the longest standstill of ten days or more around. One that has not moved in
    all that time is not in use, such as export without a plant.
    """
    moved = [one.end_s for one in context.companion if one.energy]
    in_use = _is_known(context) and context.history.largest() > 0
    standstills = context.history.standstills()
    found = []
    for here in stretches(context.buckets, lambda bucket: bucket.energy == 0):
        if here.length < STUCK_INTERVALS:
            continue
        inside = sum(here.start_s < at_s <= here.end_s for at_s in moved)
        others = (one for one in standstills if not _overlap(one, here))
        longest = max((one.length for one in others), default=0)
        if inside:
            why = f"its companion moved in {inside} of them"
        elif in_use and here.length > 2 * max(longest, STUCK_INTERVALS):
            why = f"{longest} at most at other times"
        else:
            continue
        text = f"no advance over {here.length} intervals; {why}"
        span = (here.start_s, here.end_s)
        found.append(Finding("stuck_register", 1, *span, context.register, text))
    return found


def spike(context: Context) -> list[Finding]:
    """An interval far above the same quarter hour of the weeks around.

    CA VEE has a spike check against the day's third highest interval, which a spike of three
    intervals defeats. Ours is robust: above median + 10 deviations. A deviation is the median
    absolute deviation times 1.4826 (Hampel's identifier), at least a twentieth of the largest
    interval of those weeks, which keeps a house of even nights from spikes of nothing.
    """
    found = []
    largest = context.history.largest()
    for bucket in context.buckets:
        values = context.history.values(context.history.place(bucket.start_s))
        if bucket.energy is None or len(values) < LEAST_DAYS:
            continue
        if bucket.energy > _threshold(values, largest):
            text = f"far above this quarter hour of {len(values)} other days"
            span = (bucket.start_s, bucket.end_s)
            found.append(Finding("spike", 1, *span, context.register, text))
    return found


def above_connection(context: Context) -> list[Finding]:
    """A mean power above what the connection's fuses carry. Physics: it cannot have been."""
    if context.limit_w is None:
        return []
    limit = context.limit_w
    text = "mean power above the limit of the connection"
    return [
        Finding("above_connection", 1, bucket.start_s, bucket.end_s, context.register, text)
        for bucket in context.buckets
        if bucket.energy is not None
        and bucket.energy * _HOUR_S > limit * (bucket.end_s - bucket.start_s)
    ]


def night_zero(context: Context) -> list[Finding]:
    """Exactly nothing for an hour of the night, at hours when it was never nothing before.

    CA VEE (B) asks after zero consumption of active meters. Ours: by night only (until 05:00
    local), because a plant on the roof takes the import of a day to zero.
    """

    def is_odd(bucket: Bucket) -> bool:
        place = context.history.place(bucket.start_s)
        if bucket.energy != 0 or place.minute >= NIGHT_END_MINUTE:
            return False
        values = context.history.values(place)
        return len(values) >= LEAST_DAYS and min(values) > 0

    return [
        Finding("night_zero", 1, start_s, end_s, context.register, f"zero over {count} intervals")
        for start_s, end_s, count in stretches(context.buckets, is_odd)
        if count >= NIGHT_INTERVALS
    ]


def reverse_flow(context: Context) -> list[Finding]:
    """Active energy export advances where nothing can feed in: wired wrongly, or not registered.

    Ours; a finding for each local day. Not known whether there is generation: nothing is said.
    """
    code = context.register
    if context.has_generation is not False or (code[2], code[3]) != (_ACTIVE_EXPORT, _CUMULATIVE):
        return []
    found = []
    days = groupby(context.buckets, lambda one: context.history.place(one.start_s).day)
    for _, group in days:
        moved = [bucket for bucket in group if bucket.energy]
        if moved:
            text = f"export in {len(moved)} intervals without generation"
            span = (moved[0].start_s, moved[-1].end_s)
            found.append(Finding("reverse_flow", 1, *span, code, text))
    return found


def missing_intervals(context: Context) -> list[Finding]:
    """Capture boundaries without a reading. Ours: what is estimated later begins here."""
    return [
        Finding(
            "missing_intervals",
            1,
            gap.start_s,
            gap.end_s,
            context.register,
            f"{gap.missing} readings are missing" + (f": {gap.reason}" if gap.reason else ""),
        )
        for gap in context.gaps
    ]


def clock_adjusted(context: Context) -> list[Finding]:
    """The meter's clock was stepped in an interval. CA VEE (B), time tolerance check."""
    text = "the clock was stepped: energy may lie in the neighbouring interval"
    return [
        Finding("clock_adjusted", 1, bucket.start_s, bucket.end_s, context.register, text)
        for bucket in context.buckets
        if bucket.flags & _CLOCK_ADJUSTED
    ]


CHECKS: tuple[Check, ...] = (
    sum_mismatch,
    negative_advance,
    stuck_register,
    spike,
    above_connection,
    night_zero,
    reverse_flow,
    missing_intervals,
    clock_adjusted,
)


def validate(context: Context) -> list[Finding]:
    """Return what all checks found, in the order of the list, each by time."""
    return [finding for check in CHECKS for finding in check(context)]


def _overlap(one: Stretch, other: Stretch) -> bool:
    return one.start_s < other.end_s and other.start_s < one.end_s


def _is_known(context: Context) -> bool:
    return context.history.days() >= LEAST_DAYS


def _threshold(values: list[int], largest: int) -> float:
    """Return the energy above which an interval is a spike."""
    middle = median(values)
    deviation = 1.4826 * median(abs(value - middle) for value in values)
    return middle + SPIKE_DEVIATIONS * max(deviation, largest / LEAST_DEVIATION_DIVISOR)
