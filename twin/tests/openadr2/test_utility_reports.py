"""What is reported is what the meter's profile holds: each quarter hour once, none guessed."""

import pytest
from meter_twin.application import Context
from meter_twin.application_host import ApplicationHost
from meter_twin.applications.metering_data import MeteringData
from meter_twin.demand_response.quarter_hour import MeterStatus
from meter_twin.option_schema import apply_schema
from meter_twin.store import Batch, Store
from meter_twin.utility_reports import make_reports
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
