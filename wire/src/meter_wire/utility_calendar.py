"""The utility's side of time-of-use calendars: readable rows in, the bytes of an order out.

The rows are those of the meter's own configuration (`tariff` of meter.json). What comes of them
goes into an order (`utility_order`); the meter's side is `portable.tariff_calendar`.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from meter_wire.portable.tariff_calendar import MOST_OFFSETS, MOST_SWITCHES, parse_calendar

MOST_NAME = 16
_TIME = re.compile(r"([01]\d|2[0-3]):(00|15|30|45)")
_QUARTER_S = 900
_MOST_OFFSET = 56
_RATES = 4


class UtilityCalendar(NamedTuple):
    """A calendar as people write it."""

    name: str
    """1 to 16 printable characters of ASCII, no space."""
    switches: Sequence[Sequence[Any]]
    """[weekdays as ISO digits ("12345": Monday to Friday), "HH:MM" local time, rate 1 to 4]."""
    offsets: Sequence[Sequence[int]]
    """[from UTC second, local time less UTC in seconds], ascending; empty means UTC."""


def encode_calendar(calendar: UtilityCalendar) -> bytes:
    """Return the bytes of a calendar (docs/reference/link-v1.md, "Calendars").

    Raises:
        ValueError: naming the row that is wrong, or that two rows switch at one moment.
    """
    if not re.fullmatch(rf"[!-~]{{1,{MOST_NAME}}}", calendar.name):
        letters = f"1 to {MOST_NAME} ASCII characters, no space"
        raise ValueError(f"name: {calendar.name!r} is not {letters}")
    switches = sorted(_pack_switches(calendar.switches))
    offsets = [_pack_offset(place, calendar.offsets) for place in range(len(calendar.offsets))]
    for name, count, most in (
        ("switches", len(switches), MOST_SWITCHES),
        ("offsets", len(offsets), MOST_OFFSETS),
    ):
        if count > most:
            raise ValueError(f"{name}: has {count} rows, more than the {most} that a meter takes")
    return b"".join(
        [
            bytes([1, len(calendar.name)]) + calendar.name.encode(),
            bytes([len(switches)]),
            *(number.to_bytes(2, "big") for number in switches),
            bytes([len(offsets)]),
            *offsets,
        ]
    )


def _pack_switches(rows: Sequence[Sequence[Any]]) -> list[int]:
    taken: dict[tuple[str, str], int] = {}
    packed = []
    for place, row in enumerate(rows):
        field = f"switches[{place}]"
        if not isinstance(row, (list, tuple)) or len(row) != 3:  # noqa: PLR2004
            raise ValueError(f'{field}: is not [weekdays, "HH:MM", rate]')
        weekdays, at, rate = row
        if not isinstance(weekdays, str) or not re.fullmatch("[1-7]{1,7}", weekdays):
            raise ValueError(f'{field}: weekdays are digits 1 (Monday) to 7, such as "12345"')
        found = _TIME.fullmatch(at) if isinstance(at, str) else None
        if found is None:
            raise ValueError(f"{field}: {at!r} is not HH:MM on a quarter hour")
        if type(rate) is not int or not 1 <= rate <= _RATES:
            raise ValueError(f"{field}: rate must be 1 to {_RATES}")
        days = 0
        for day in weekdays:
            other = taken.setdefault((day, at), place)
            if other != place or days >> (int(day) - 1) & 1:
                raise ValueError(f"{field}: weekday {day} at {at} is in switches[{other}] already")
            days |= 1 << (int(day) - 1)
        quarter = int(found[1]) * 4 + int(found[2]) // 15
        packed.append(quarter << 9 | days << 2 | rate - 1)
    return packed


def _pack_offset(place: int, rows: Sequence[Sequence[int]]) -> bytes:
    start_s, offset_s = rows[place]
    field = f"offsets[{place}]"
    if start_s % _QUARTER_S or not 0 <= start_s // _QUARTER_S < 1 << 24:
        raise ValueError(f"{field}: {start_s} is no UTC second on a quarter hour")
    if offset_s % _QUARTER_S or abs(offset_s) > _MOST_OFFSET * _QUARTER_S:
        raise ValueError(f"{field}: {offset_s} is not whole quarter hours within 14 h")
    if place and start_s <= rows[place - 1][0]:
        raise ValueError(f"{field}: is not later than the row before")
    return (start_s // _QUARTER_S).to_bytes(3, "big") + (offset_s // _QUARTER_S).to_bytes(
        1, "big", signed=True
    )


def decode_calendar(data: bytes) -> UtilityCalendar:
    """Return the rows of a calendar's bytes, ascending by the time of day.

    Raises:
        RemoteProtocolError: `malformed` or `version`.
    """
    name, switches, offsets = parse_calendar(data)
    rows = [[days, f"{minute // 60:02}:{minute % 60:02}", rate] for minute, days, rate in switches]
    return UtilityCalendar(name.decode(), rows, [list(row) for row in offsets])
