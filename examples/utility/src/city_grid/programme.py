"""What the utility plans: a day-ahead price, two peaks a day, and peaks at short notice; pure.

Days are local, moments UTC seconds: the day of a clock change has 23 or 25 hours. Ids follow from
what is planned, so a utility that was restarted plans the same events. Neighbours: `settings`
(reads a programme from its file), `vtn` (sends the events).
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

SIMPLE, PRICE = "SIMPLE", "ELECTRICITY_PRICE"
HOUR_S = 3600
MILLION = 1_000_000
LEVELS = (1, 2, 3)
"""Levels of SIMPLE that ask for something (2.0b: moderate, high, special)."""
SATURDAY = 5
DAY_AHEAD = (
    180_000, 175_000, 170_000, 170_000, 175_000, 195_000, 240_000, 290_000,
    280_000, 230_000, 180_000, 140_000, 120_000, 115_000, 125_000, 160_000,
    220_000, 300_000, 360_000, 340_000, 290_000, 250_000, 215_000, 195_000,
)  # fmt: skip
"""Millionths of the currency per kWh in each hour of a working day: cheap nights and noons."""
WEEKEND_PERCENT = 85


class Interval(NamedTuple):
    """A value that holds for a while; levels and prices in millionths."""

    start_s: int
    duration_s: int
    value_micro: int


class Event(NamedTuple):
    """What the utility tells its customers; `currency` of a price, `vens` None for everybody."""

    event_id: str
    signal: str
    market_context: str
    intervals: tuple[Interval, ...]
    currency: str = ""
    vens: tuple[str, ...] | None = None

    @property
    def start_s(self) -> int:
        """When it begins."""
        return self.intervals[0].start_s

    @property
    def end_s(self) -> int:
        """When it is over."""
        return self.intervals[-1].start_s + self.intervals[-1].duration_s

    @property
    def level(self) -> int:
        """The level of a peak; a price has none, 0."""
        return self.intervals[0].value_micro // MILLION if self.signal == SIMPLE else 0

    def is_for(self, ven: str) -> bool:
        """Tell whether a VEN is meant, by its name."""
        return self.vens is None or ven in self.vens


class Peak(NamedTuple):
    """A peak of every day, in local time."""

    start: time
    end: time
    level: int = 2


class Programme(NamedTuple):
    """What is planned for each day."""

    zone: ZoneInfo = ZoneInfo("Europe/Brussels")
    currency: str = "EUR"
    prices_micro: tuple[int, ...] = DAY_AHEAD
    peaks: tuple[Peak, ...] = (Peak(time(7, 30), time(8)), Peak(time(18), time(19)))
    price_context: str = "http://city-grid.example/prices"
    peak_context: str = "http://city-grid.example/peak"


def plan(programme: Programme, now_s: int) -> list[Event]:
    """Return the events of today and tomorrow that are not over."""
    today = datetime.fromtimestamp(now_s, programme.zone).date()
    planned: list[Event] = []
    for day in (today, today + timedelta(days=1)):
        planned.append(plan_price(programme, day))
        planned += plan_peaks(programme, day)
    return [event for event in planned if event.end_s > now_s]


def plan_price(programme: Programme, day: date) -> Event:
    """Return the price of each hour of a local day."""
    end_s = _moment(day + timedelta(days=1), time(), programme.zone)
    starts = range(_moment(day, time(), programme.zone), end_s, HOUR_S)
    intervals = tuple(
        Interval(start_s, min(HOUR_S, end_s - start_s), _find_price(programme, start_s))
        for start_s in starts
    )
    context, currency = programme.price_context, programme.currency
    return Event(f"price-{day:%Y-%m-%d}", PRICE, context, intervals, currency)


def _find_price(programme: Programme, start_s: int) -> int:
    local = datetime.fromtimestamp(start_s, programme.zone)
    price = programme.prices_micro[local.hour]
    return price * WEEKEND_PERCENT // 100 if local.weekday() >= SATURDAY else price


def plan_peaks(programme: Programme, day: date) -> Iterator[Event]:
    """Return the peaks of a local day; what a clock change swallows is left out."""
    for peak in programme.peaks:
        start_s = _moment(day, peak.start, programme.zone)
        seconds = _moment(day, peak.end, programme.zone) - start_s
        if seconds > 0:
            event_id = f"peak-{day:%Y-%m-%d}-{peak.start:%H%M}"
            yield build_peak(programme, event_id, peak.level, start_s, seconds)


def build_peak(
    programme: Programme,
    event_id: str,
    level: int,
    start_s: int,
    seconds: int,
    vens: Iterable[str] | None = None,
) -> Event:
    """Return a peak, for everybody or for some VENs.

    Raises:
        ValueError: the level is none of LEVELS, or it does not last.
    """
    if level not in LEVELS:
        raise ValueError(f"level: {level} is not 1, 2 or 3")
    if seconds < 1:
        raise ValueError(f"seconds: {seconds} is less than 1")
    only = None if vens is None else tuple(vens)
    intervals = (Interval(start_s, seconds, level * MILLION),)
    return Event(event_id, SIMPLE, programme.peak_context, intervals, "", only)


def _moment(day: date, at: time, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, at, zone).timestamp())


def format_moment(moment_s: int) -> str:
    """Return UTC seconds as text: `2026-03-29T01:00:00Z`."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
