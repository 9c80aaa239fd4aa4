"""Orders pass by the twin unchanged; only the active one passes them; calendars are shown."""

import base64
import json

import pytest
from meter_twin.api_commands import Commands
from meter_twin.application import QueryError
from meter_twin.http_server import ApiError, Request
from meter_wire.commands import Order, Read
from meter_wire.effects import Answered
from meter_wire.entries import parse_entry
from meter_wire.portable.entry import encode_reading, encode_register

ORDER, SIGNATURE = bytes(range(77)), bytes(range(64))
ACTIVE, PASSIVE = bytes([0, 0, 13, 0, 0, 255]), bytes([0, 0, 13, 0, 1, 255])
SINCE_S, FROM_S = 1_800_000_000, 1_800_090_000


def text(data):
    return base64.b64encode(data).decode()


def post(**changes):
    body = {"order": text(ORDER), "signature": text(SIGNATURE), **changes}
    return Request("POST", "/v1/order", {}, json.dumps(body).encode(), ())


class Line:
    """Hears what the meter is told, and answers."""

    def __init__(self, code="ok", rows=None):
        entry = None
        if rows is not None:
            registers = [encode_register(*row) for row in rows]
            entry = parse_entry(encode_reading(0, SINCE_S, 5, 1, registers))
        self.answer = Answered(1, code, entry)
        self.told = []

    async def command(self, command, ttl_ms):
        self.told.append((command, ttl_ms))
        return self.answer


def commands(line, is_active=True):
    return Commands(line, lambda: is_active, lambda: False, {})


async def test_an_order_is_handed_to_the_meter_unchanged_and_its_answer_told():
    for code in ("ok", "unsigned", "repeated", "expired", "refused", "meter_offline", "timeout"):
        line = Line(code)
        answer = await commands(line).order(post(ttl_seconds=5))
        assert (answer.status, json.loads(answer.body)) == (200, {"code": code})
        assert line.told == [(Order(ORDER, SIGNATURE), 5000)]


async def test_a_twin_that_is_not_the_active_one_passes_no_order():
    line = Line()
    with pytest.raises(ApiError) as caught:
        await commands(line, is_active=False).order(post())
    assert caught.value.status == 409
    assert line.told == []


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("body.order", {"order": ""}),
        ("body.order", {"order": "%%"}),
        ("body.order", {"order": text(bytes(513))}),
        ("body.order", {"order": 5}),
        ("body.signature", {"signature": text(bytes(63))}),
        ("body.signature", {"signature": "%%"}),
        ("body.ttl_seconds", {"ttl_seconds": 301}),
        ("body.calendar", {"calendar": "night"}),
    ],
)
async def test_what_is_no_order_is_refused_with_its_field(field, changes):
    line = Line()
    with pytest.raises(ApiError) as caught:
        await commands(line).order(post(**changes))
    assert caught.value.document["error"]["field"] == field
    assert line.told == []


def get(**query):
    return Request("GET", "/v1/calendar", query, b"", ())


async def show(line, **query):
    return json.loads((await commands(line).calendar(get(**query))).body)


async def test_the_calendars_of_the_meter_are_shown_with_their_times():
    line = Line(rows=[(ACTIVE, b"summer", SINCE_S), (PASSIVE, b"winter-26", FROM_S)])
    assert await show(line) == {
        "live": "ok",
        "active": {"name": "summer", "since": "2027-01-15T08:00:00Z"},
        "passive": {"name": "winter-26", "since": "2027-01-16T09:00:00Z"},
    }
    assert line.told == [(Read((ACTIVE, PASSIVE)), 5000)]


async def test_the_calendar_of_the_configuration_has_no_name_and_none_to_come_is_null():
    found = await show(Line(rows=[(ACTIVE, b""), (PASSIVE, b"")]), timeout="7")
    configured = {"name": None, "since": None}
    assert found == {"live": "ok", "active": configured, "passive": None}


async def test_without_an_answer_the_calendars_are_not_guessed():
    for code in ("meter_offline", "timeout", "unknown"):
        assert await show(Line(code)) == {"live": code, "active": None, "passive": None}
    with pytest.raises(QueryError):
        await commands(Line()).calendar(get(colour="red"))
