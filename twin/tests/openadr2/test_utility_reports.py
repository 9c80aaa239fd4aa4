"""What is reported is what the meter's profile holds: each quarter hour once, none guessed."""

import itertools
import sqlite3
from types import SimpleNamespace

import pytest
from meter_twin import utility_talk
from meter_twin.application import Context
from meter_twin.application_host import ApplicationHost
from meter_twin.applications.metering_data import MeteringData
from meter_twin.demand_response.quarter_hour import MeterStatus
from meter_twin.openadr2.times import format_moment
from meter_twin.openadr2.xml_codec import write_element, write_text
from meter_twin.option_schema import apply_schema
from meter_twin.store import Batch, Store
from meter_twin.utility_memory import NAME, UtilityMemory
from meter_twin.utility_reports import MOST_AT_ONCE, make_reports
from meter_wire.obis import parse_code
from meter_wire.portable.entry import encode_reading, encode_register
from test_agent import exchange, make
from test_ven import ask_reports, registered, respond

START = 1_800_000_000 // 900 * 900
CODE = "1-0:1.8.0*255"
STATUS = MeterStatus(is_online=True, is_overridden=False)


class House:
    """A store with readings, its application, and the agent that a VTN has asked for reports."""

    def __init__(self, path, specifier="telemetry-usage", point=b"import"):
        self.store = Store(str(path))
        options = apply_schema(MeteringData.option_schema, {}, "options")
        kind = MeteringData
        application = MeteringData(options, Context("house-1", "point", "UTC", 900))
        self.host = ApplicationHost(self.store, {"metering-data": (kind, application)})
        self.seq = 0
        self.agent = make()
        exchange(self.agent, registered(), START)
        asked = ask_reports(specifier=specifier).replace(b"energy", point)
        exchange(self.agent, asked, START)
        exchange(self.agent, respond(), START)
        exchange(self.agent, respond(), START)

    def read(self, time_s, energy_wh, status=0):
        self.seq += 1
        registers = [encode_register(parse_code(CODE), energy_wh)]
        raw = encode_reading(status, time_s, 0, 1, registers)
        self.store.ingest([Batch(b"A" * 8, [(self.seq, raw)], (), self.seq, bytes(16))], 0)
        while self.host.step(time_s):
            pass

    def report(self, now_s):
        return make_reports(self.agent, self.host.answer_or_none, STATUS, now_s)

    def send(self, now_s):
        """Return the values of the report that is sent."""
        message, _ = exchange(self.agent, respond("oadrUpdatedReport"), now_s)
        assert message.name == "oadrUpdateReport"
        rows = message.element.find("oadrReport/intervals")
        return [
            int(float(row.get_text("oadrReportPayload/payloadFloat/value")))
            for row in (rows.all("interval") if rows else ())
        ]


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path / "twin.db")
    yield made
    made.store.close()


def test_the_quarter_hours_of_the_profile_are_reported_once(house):
    for quarter in range(5):
        house.read(START + 900 * quarter, 1000 + 100 * quarter)
    assert house.report(START + 3599) == 0
    assert house.report(START + 3600) == 1
    assert house.report(START + 3600) == 0
    assert house.send(START + 3600) == [100, 100, 100, 100]
    assert house.report(START + 3700) == 0


def test_a_quarter_hour_that_is_late_is_waited_for_and_left_out_at_last(house):
    for quarter in (0, 1, 2, 3):
        house.read(START + 900 * quarter, 1000 + 100 * quarter)
    assert house.report(START + 3600) == 0
    assert house.report(START + 3600 + 599) == 0
    assert house.report(START + 3600 + 600) == 1
    assert house.send(START + 4200) == [100, 100, 100]


def test_a_quarter_hour_that_comes_in_time_is_in_the_report(house):
    for quarter in (0, 1, 2, 3):
        house.read(START + 900 * quarter, 1000 + 100 * quarter)
    assert house.report(START + 3660) == 0
    house.read(START + 3600, 1400)
    assert house.report(START + 3661) == 1


def test_a_report_of_the_status_needs_no_profile(tmp_path):
    house = House(tmp_path / "twin.db", "telemetry-status", b"status")
    assert house.report(START + 3600) == 1
    message, _ = exchange(house.agent, respond("oadrUpdatedReport"), START + 3600)
    value = "oadrReportPayload/oadrPayloadResourceStatus/oadrOnline"
    assert message.element.get_text(f"oadrReport/intervals/interval/{value}") == "true"
    house.store.close()


def test_without_the_application_nothing_is_guessed_and_nothing_is_sent(house):
    """openleadr's VTN answers a report without intervals with 500, for ever."""
    made = make_reports(house.agent, lambda *_: None, STATUS, START + 4200)
    assert made == 1
    question = house.agent.find_next(START + 4200)
    assert question.purpose == "events"
    house.agent.take(200, respond(), START + 4200, 0.0)
    for quarter in range(4, 9):
        house.read(START + 900 * quarter, 1000 + 100 * quarter)
    assert house.report(START + 7200) == 1
    assert house.send(START + 7200) == [100, 100, 100, 100]


def ask_since(start_s, span, request="old", back=b"PT15M"):
    """Return an oadrCreateReport of what was since then."""
    asked = ask_reports("oadrCreateReport", "history-usage", request)
    asked = asked.replace(b"energy", b"import").replace(b"PT1H", back)
    since = write_element("xcal:dtstart", write_text("xcal:date-time", format_moment(start_s)))
    lasts = write_element("xcal:duration", write_text("xcal:duration", span))
    interval = write_element("ei:reportInterval", write_element("xcal:properties", since, lasts))
    at = b"<ei:specifierPayload>"
    return asked.replace(at, interval.encode() + at)


@pytest.mark.parametrize("start_s", [0, 86_400])
def test_a_request_since_the_beginning_of_time_is_worked_off_in_small_steps(house, start_s):
    """A utility must not be able to hold up its own conversation, or freeze a twin."""
    exchange(house.agent, ask_since(start_s, "PT0S"), START + 20)
    since_s = []
    for _ in range(3):
        since_s.append(house.agent.reporting.export()[-1]["sentUntil"])
        assert house.report(START + 20) == MOST_AT_ONCE
        house.agent = make(house.agent.export())
    steps = [later - before for before, later in itertools.pairwise(since_s)]
    assert steps == [900 * MOST_AT_ONCE] * 2, "a successor goes on where the twin before was"


def test_a_request_that_cannot_be_made_is_dropped_and_keeps_nothing_else_back(house, capsys):
    exchange(house.agent, ask_since(START - 7200, "PT1H", "bad", b"PT0S"), START + 20)
    for quarter in range(5):
        house.read(START + 900 * quarter, 1000 + 100 * quarter)

    def ask(name, parameters, now_s):
        if parameters["from"] < format_moment(START):
            raise ArithmeticError("of this one")
        return house.host.answer_or_none(name, parameters, now_s)

    for _ in range(2):
        make_reports(house.agent, ask, STATUS, START + 3600)
    assert house.agent.reporting.pending == ["rr-1"]
    assert house.agent.find_next(START + 3600) is not None
    assert capsys.readouterr().err.count("ArithmeticError") == 1


def test_a_store_that_cannot_be_read_makes_reports_wait(house):
    def ask(*_):
        raise sqlite3.OperationalError("busy")

    assert make_reports(house.agent, ask, STATUS, START + 3600) == 0
    assert house.agent.reporting.pending == ["rr-1"]
    for quarter in range(5):
        house.read(START + 900 * quarter, 1000 + 100 * quarter)
    assert house.report(START + 3601) == 1


def test_history_that_comes_late_is_sent_when_it_has_come(house):
    house.agent.reporting.forget()
    asked_s = START + 7200
    exchange(house.agent, ask_since(START, "PT1H", "late", b"PT0S"), asked_s)
    exchange(house.agent, respond(), asked_s)
    assert house.report(asked_s) == 0
    for quarter in range(5):
        house.read(START + 900 * quarter, 1000 + 100 * quarter)
    assert house.report(asked_s + 60) == 1
    assert house.send(asked_s + 60) == [100, 100, 100, 100]
    assert house.agent.reporting.pending == []


def test_history_that_does_not_come_is_passed_over_and_the_log_says_so(house, capsys):
    """A zero of bad quality would be a zero: openleadr hands over times and values alone."""
    house.agent.reporting.forget()
    exchange(house.agent, ask_since(START, "PT1H", "never", b"PT0S"), START + 7200)
    assert house.report(START + 7200 + 599) == 0
    assert house.report(START + 7200 + 600) == 1
    assert house.agent.reporting.pending == []
    assert "report ends without readings" in capsys.readouterr().err


class Silent:
    """An application host that counts what is kept, and knows nothing of a profile."""

    kept = 0

    def keep(self, name):
        assert name == NAME
        self.kept += 1

    def answer_or_none(self, *_):
        return None


async def test_what_is_passed_over_is_kept_though_nothing_is_asked(house, tmp_path, monkeypatch):
    monkeypatch.setattr(utility_talk, "time", SimpleNamespace(time=lambda: START + 20))
    exchange(house.agent, ask_since(START - 86_400, "PT0S"), START + 20)
    exchange(house.agent, respond(), START + 20)
    assert house.agent.find_next(START + 20) is None
    memory, host = UtilityMemory(), Silent()
    memory.agent = house.agent
    settings = SimpleNamespace(folder=str(tmp_path), name="utility")
    talk = utility_talk.UtilityTalk(
        "house-1", settings, memory, None, host, is_online=lambda: True, is_stopped=lambda: False
    )
    talk._client = object()
    talk._decided_stopped = False
    before = house.agent.export()
    assert not await talk.ask_next()
    assert (house.agent.export() != before, host.kept) == (True, 1)
