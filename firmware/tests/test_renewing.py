"""The renewal port beside the normal tries, in virtual time, CPython: nothing waits for it too long."""

import asyncio
import gc
import importlib.util
import itertools
import sys
from pathlib import Path
from typing import NamedTuple

import link_task
import mqtt_shell
import pytest
import renewal
import renewing
from meter_wire.memory import MemoryRing
from meter_wire.portable.meter_link import MeterInfo, MeterLink

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "portable"))
from fake_certificates import encode_certificate

REFUSED, AWAY, SLOW = (True, OSError(-30592)), (False, OSError(111)), (True, TimeoutError())
HOUR_S = 3600


def load_reconnection():
    spec = importlib.util.spec_from_file_location("reconnection", HERE / "test_reconnection.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


in_virtual_time = load_reconnection().in_virtual_time


class Config:
    device, host, port, user, keep_alive_s = "house-1", "broker", 8883, None, 60
    renewal_port = 8884
    tls = {"server_name": "broker"}  # noqa: RUF012 - read only


class Clock:
    def __init__(self):
        self.told = []

    def uptime_ms(self):
        return int(asyncio.get_running_loop().time() * 1000)

    def tell_board(self, find_least_s):
        self.told.append(find_least_s())


class Found(NamedTuple):
    certificate: bytes
    anchors: list
    renew_from_s: int


class Credentials:
    renew_from_s = 0
    kept = None

    def certificate(self):
        return encode_certificate(1, b"our point")

    def open(self):
        return "context"

    def store(self, *renewal):
        self.kept = renewal
        return "new context"

    def valid_from_s(self):
        return 1800000000 if self.kept else 0


class Story:
    """What a meter does whose tries all end one way: times of normal tries, of dials, of beats."""

    def __init__(self, how, *, is_subscribed=False):
        self.how = how
        self.is_subscribed = is_subscribed
        self.tries, self.dials, self.beats = [], [], []

    def note(self, times):
        times.append(asyncio.get_running_loop().time())

    def make_shell(self, *_arguments, **_options):
        return Shell(self)

    def make_renewing(self):
        core = renewal.Renewal("house-1", bytes(32), 1, bytes)
        return renewing.Renewing(Config, core, Credentials(), Clock(), print, print)

    async def live(self, seconds):
        ring, info = MemoryRing(bytes(8)), MeterInfo(1, "1.0.0", b"")
        link = MeterLink("house-1", bytes(32), ring, info, bytes)
        task = link_task.LinkTask(
            Config, link, None, Clock().uptime_ms, "context", print, self.make_renewing
        )
        running = asyncio.create_task(task.run(lambda: self.note(self.beats)))
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Shell:
    """A connection to a broker that lets nobody in, or to a renewal port that answers nothing."""

    def __init__(self, story):
        self.story = story
        self.reached = False

    async def connect(self, _host, port, context, _name):
        if port == Config.renewal_port:
            self.story.note(self.story.dials)
            return
        assert context == "context"
        self.story.note(self.story.tries)
        self.reached, error = self.story.how
        raise error

    async def subscribe(self, _pair):
        if not self.story.is_subscribed:
            await asyncio.sleep(10 * HOUR_S)

    async def publish(self, *_message):
        pass

    async def run(self):
        await asyncio.sleep(10 * HOUR_S)

    def abort(self):
        pass


@pytest.fixture
def tell(monkeypatch):
    """Return a function that lives three hours of a story and returns it."""

    def told(story):
        monkeypatch.setattr(link_task, "MqttShell", story.make_shell)
        monkeypatch.setattr(mqtt_shell, "MqttShell", story.make_shell)
        monkeypatch.setattr(gc, "collect", lambda: 0)  # CPython's takes long
        in_virtual_time(story.live(3 * HOUR_S))
        return story

    return told


@pytest.mark.parametrize("is_subscribed", [False, True])
def test_the_normal_tries_go_on_and_the_watchdog_is_fed_while_the_port_is_silent(
    tell, is_subscribed
):
    story = tell(Story(REFUSED, is_subscribed=is_subscribed))
    assert sum(at <= story.dials[0] for at in story.tries) == renewal.TRIES
    assert 4 <= len(story.dials) <= 8
    pauses = [after - before for before, after in itertools.pairwise(story.tries)]
    assert max(pauses) <= 60 + renewing.WAIT_MS / 1000 + 2
    assert max(after - before for before, after in itertools.pairwise(story.beats)) <= 1.01


@pytest.mark.parametrize("how", [AWAY, SLOW])
def test_a_broker_that_is_down_or_silent_is_no_reason_to_dial(tell, how):
    story = tell(Story(how))
    assert len(story.tries) > 100
    assert not story.dials


def test_a_renewal_tells_a_board_without_a_time_how_late_it_is_by_now():
    clock, said = Clock(), []
    one = renewing.Renewing(Config, None, Credentials(), clock, said.append, print)
    assert (one.store(), clock.told) == (None, [])
    one.found = Found(b"certificate", [b"anchor"], 7)
    assert one.store() == "new context"
    assert clock.told == [1800000000]
    assert said == [renewing.BY_SESSION]
