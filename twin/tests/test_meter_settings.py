"""Capture period and report spread reach the meter: once a session, from the active twin only."""

import asyncio

import pytest
from meter_twin.meter_settings import RETRY_S, MeterSettings
from meter_wire.effects import Answered

pytestmark = pytest.mark.timeout(300)


class FakeCarrier:
    """A link whose meter answers every command with `code`."""

    def __init__(self):
        self.sessions = 1
        self.code = "ok"
        self.sent = []

    async def command(self, command, _ttl_ms):
        self.sent.append((command.target, command.value))
        return Answered(1, self.code)


@pytest.fixture
def carrier():
    return FakeCarrier()


def settings(carrier, active=True):
    return MeterSettings(carrier, lambda: active, 300, 30)


def poll(made, now_s=100.0):
    asyncio.run(made.poll(now_s))


BOTH = [("capture_period", 300), ("report_spread", 30)]


def test_both_are_sent_once_a_session(carrier):
    made = settings(carrier)
    poll(made)
    poll(made)
    assert carrier.sent == BOTH
    carrier.sessions = 2
    poll(made)
    assert carrier.sent == BOTH * 2
    expected = {"capturePeriodSeconds": 300, "reportSpreadSeconds": 30}
    assert made.describe() == {"wanted": expected, "confirmed": expected, "refused": 0}


def test_nothing_is_sent_without_a_session_or_by_a_twin_that_is_not_active(carrier):
    poll(settings(carrier, active=False))
    carrier.sessions = 0
    poll(settings(carrier))
    assert carrier.sent == []


@pytest.mark.parametrize("code", ["refused", "unknown", "out_of_range"])
def test_what_is_refused_is_counted_and_tried_again_with_the_next_session_only(carrier, code):
    carrier.code = code
    made = settings(carrier)
    poll(made)
    poll(made, 100 + 10 * RETRY_S)
    assert carrier.sent == BOTH
    assert made.refused == 2
    assert set(made.describe()["confirmed"].values()) == {None}
    carrier.sessions, carrier.code = 2, "ok"
    poll(made, 200 + 10 * RETRY_S)
    assert carrier.sent == BOTH * 2
    assert made.describe()["confirmed"]["capturePeriodSeconds"] == 300


@pytest.mark.parametrize(
    "code", ["timeout", "meter_offline", "twin_busy", "absent", "busy", "not_active", "expired"]
)
def test_what_got_no_answer_is_tried_again_after_a_pause(carrier, code):
    carrier.code = code
    made = settings(carrier)
    poll(made)
    poll(made, 99 + RETRY_S)
    assert carrier.sent == BOTH
    poll(made, 100 + RETRY_S)
    assert carrier.sent == BOTH * 2
    assert made.refused == 0


async def test_the_meter_of_an_active_twin_gets_both_and_that_of_a_candidate_none(world, tools):
    world.start_broker()
    changes = {"capturePeriodSeconds": 300, "reportSpreadSeconds": 30}
    twin = world.start_twin(world.configuration(**changes))
    await asyncio.to_thread(twin.wait_serving)
    await world.operate("candidate")
    meter = tools.Meter(world)
    meter.power_on()
    await tools.eventually(lambda: twin.get("/v1/status")[1]["session"], "a session")
    await asyncio.sleep(2.5)
    assert meter.settings == []
    await world.operate("active", counter=2)
    await tools.eventually(lambda: len(meter.settings) == 2, "both settings")
    assert meter.settings == [(1, 300), (2, 30)]

    def confirmed():
        return twin.get("/v1/status")[1]["settings"]["confirmed"] == changes

    await tools.eventually(confirmed, "the status shows them")
    await meter.power_off()
