"""Calendars of the utility: rows in, bytes out, the same rows again; what is wrong has its name."""

import dataclasses
import datetime as dt
import json
import pathlib
import random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_wire.portable import tlv
from meter_wire.portable.order import Order
from meter_wire.portable.tariff_calendar import parse_calendar
from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.utility_calendar import UtilityCalendar, decode_calendar, encode_calendar
from meter_wire.utility_order import LAST_ACTIVATION_S, UtilityOrder, encode_utility_order

VECTORS = pathlib.Path(__file__).parents[1] / "vectors/link-v1.json"
NOW_S = 1_800_000_000
MOST_ORDER = 512
"""Bytes of an order that the link takes."""
QUARTERS = [f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 15, 30, 45)]
DAY_NIGHT = UtilityCalendar("day-night", [["12345", "07:00", 1], ["1234567", "22:00", 2]], [])

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=16)


@st.composite
def switch_lists(draw):
    """Return rows in the order of their bytes, no two of one moment."""
    moments = draw(
        st.lists(st.tuples(st.sampled_from(QUARTERS), st.integers(0, 6)), max_size=40, unique=True)
    )
    days = {}
    for at, day in moments:
        days.setdefault(at, set()).add(day)
    rows = []
    for at in sorted(days):
        groups = draw(st.permutations(sorted(days[at])))
        cut = draw(st.integers(0, len(groups) - 1))
        for part in filter(None, (groups[:cut], groups[cut:])):
            mask = sum(1 << day for day in part)
            text = "".join(str(day + 1) for day in sorted(part))
            rows.append((at, mask, [text, at, draw(st.integers(1, 4))]))
    return [row for _, _, row in sorted(rows, key=lambda row: row[:2])]


offset_lists = st.lists(
    st.tuples(st.integers(0, (1 << 24) - 1), st.integers(-56, 56)),
    max_size=40,
    unique_by=lambda row: row[0],
).map(lambda rows: [[start * 900, offset * 900] for start, offset in sorted(rows)])
calendars = st.builds(UtilityCalendar, names, switch_lists(), offset_lists)


def order(**changes):
    found = UtilityOrder("house-1", "set_calendar", 7, "dso.example", NOW_S, 1,
                         activates=0, calendar=encode_calendar(DAY_NIGHT))  # fmt: skip
    return dataclasses.replace(found, **changes)


@given(calendars)
def test_a_calendar_comes_back(calendar):
    assert decode_calendar(encode_calendar(calendar)) == calendar


@given(calendars, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(calendar, chance: random.Random):
    rows = list(calendar.switches)
    chance.shuffle(rows)
    shuffled = calendar._replace(switches=rows)
    assert encode_calendar(shuffled) == encode_calendar(calendar)


@given(calendars, st.data())
def test_a_cut_or_longer_calendar_is_malformed(calendar, data):
    encoded = encode_calendar(calendar)
    end = data.draw(st.integers(1, len(encoded) - 1))
    for bad in (encoded[:end], encoded + b"\x00"):
        with pytest.raises(RemoteProtocolError, match="malformed"):
            parse_calendar(bad)


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"\x01\x01x" + rest))
def test_arbitrary_bytes_are_a_calendar_of_one_encoding_or_refused(data):
    try:
        calendar = decode_calendar(data)
    except RemoteProtocolError as error:
        reason = str(error)
    else:
        reason = "" if encode_calendar(calendar) == data else "another encoding"
    assert reason in {"", "malformed", "version"}


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 17}),
        ("name", {"name": "two words"}),
        ("name", {"name": "été"}),
        (r"switches\[0\]", {"switches": [["12345", "07:10", 1]]}),
        (r"switches\[0\]", {"switches": [["12345", "24:00", 1]]}),
        (r"switches\[0\]", {"switches": [["12345", 7, 1]]}),
        (r"switches\[0\]: weekdays", {"switches": [["0", "07:00", 1]]}),
        (r"switches\[0\]: weekdays", {"switches": [["", "07:00", 1]]}),
        (r"switches\[0\]: rate", {"switches": [["1", "07:00", 5]]}),
        (r"switches\[0\]: rate", {"switches": [["1", "07:00", True]]}),
        (r"switches\[0\]", {"switches": ["daily"]}),
        (r"switches\[0\]: weekday 1", {"switches": [["11", "07:00", 1]]}),
        (r"switches\[1\]: weekday 3 .* switches\[0\]",
         {"switches": [["123", "07:00", 1], ["34", "07:00", 2]]}),
        ("switches: has 49 rows, more than the 48", {"switches": [["1", at, 1] for at in QUARTERS[:49]]}),
        ("offsets: has 41 rows, more than the 40", {"offsets": [[900 * n, 0] for n in range(41)]}),
        (r"offsets\[0\]", {"offsets": [[5, 3600]]}),
        (r"offsets\[0\]", {"offsets": [[0, 100]]}),
        (r"offsets\[0\]", {"offsets": [[0, 57 * 900]]}),
        (r"offsets\[1\]", {"offsets": [[900, 0], [900, 3600]]}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_calendar_is_named(field, changes):
    with pytest.raises(ValueError, match=field):
        encode_calendar(DAY_NIGHT._replace(**changes))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("activates", {"activates": None}),
        ("calendar", {"calendar": None}),
        ("calendar", {"calendar": b"\x01\x01x"}),
        ("activates", {"activates": 1 << 32}),
        ("activates: 4294966501 is not 0 to 4294966500", {"activates": 4294966501}),
        ("activates", {"action": "disconnect"}),
        ("calendar", {"action": "disconnect", "activates": None}),
    ],
)
def test_an_order_has_calendar_and_activation_with_set_calendar_and_with_nothing_else(
    field, changes
):
    with pytest.raises(ValueError, match=field):
        encode_utility_order(order(**changes))


def test_the_largest_calendar_fits_into_an_order_with_the_longest_names():
    rows = [["12345", at, 1] for at in QUARTERS[::4]] + [["67", at, 2] for at in QUARTERS[::4]]
    offsets = [[900 * place, 3600] for place in range(40)]
    long = order(
        device="d" * 32, operator="o" * 64, incarnation=bytes(8), boot=65535, uptime_s=0xFFFFFFFF,
        activates=LAST_ACTIVATION_S, counter=0xFFFFFFFF, not_after=0xFFFFFFFF, reason=0xFFFF,
        calendar=encode_calendar(UtilityCalendar("n" * 16, rows, offsets)),
    )  # fmt: skip
    assert len(encode_utility_order(long)) <= MOST_ORDER


def test_an_older_meter_reads_the_order_without_its_new_fields_and_does_not_know_the_action():
    row = next(r for r in json.loads(VECTORS.read_text())["orders"]["rows"] if r[0] == "set a calendar")  # fmt: skip
    data = bytes.fromhex(row[1])
    fields = tlv.parse_fields(data, 1, 10)
    assert set(fields) == {1, 2, 3, 4, 5, 6}
    assert tlv.parse_uint(fields[2]) not in (1, 2, 3)
    assert Order(data).calendar


def changes_of(zone, years):
    """Return [UTC second, offset] of a zone's changes in some years from 2026, by quarter hour."""
    first = int(dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp())
    rows = []
    for start_s in range(first, first + years * 366 * 86400, 900):
        offset = dt.datetime.fromtimestamp(start_s, zone).utcoffset()
        if not rows or rows[-1][1] != offset.total_seconds():
            rows.append([start_s if rows else 0, int(offset.total_seconds())])
    return rows


@pytest.mark.parametrize("name", ["Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])  # fmt: skip
def test_a_zone_s_changes_lie_on_quarter_hours_and_come_back(name):
    rows = changes_of(ZoneInfo(name), 2)
    calendar = UtilityCalendar("x", [], rows)
    assert decode_calendar(encode_calendar(calendar)) == calendar
