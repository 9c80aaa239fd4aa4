"""A street of meters that loses its broker does not come back in step; virtual time, CPython."""

import asyncio
import collections
import itertools
import selectors

import mqtt_shell
import pytest
from link_task import LinkTask
from meter_wire.memory import MemoryRing
from meter_wire.portable.meter_link import MeterInfo, MeterLink

CONNECT, CONNACK = 1, b"\x20\x02\x00\x00"
LINK_SILENCE_S = 60
"""As in `main`."""


class Jump(selectors.SelectSelector):
    """Never waits: the time that the loop wants to sleep has passed."""

    now_s = 0.0

    def select(self, timeout=None):
        self.now_s += max(timeout or 0, 0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.jump = Jump()
        super().__init__(self.jump)

    def time(self):
        return self.jump.now_s


class Config:
    host, port = "broker", 8883

    def __init__(self, device):
        self.device = device


class Meter(LinkTask):
    """The task with a broker that is away; `tries` are the times of its sessions."""

    def __init__(self, device, boot=1):
        link = MeterLink(
            device, bytes(32), MemoryRing(bytes(8)), MeterInfo(boot, "1.0.0", b""), bytes
        )
        super().__init__(Config(device), link, None, lambda: 0, None, lambda _text: None)
        self.tries = []
        self.beats = []

    async def _session(self, _beat):
        self.tries.append(asyncio.get_running_loop().time())
        raise OSError(111)

    def beat(self):
        self.beats.append(asyncio.get_running_loop().time())


def in_virtual_time(story):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(story)
    finally:
        loop.close()


def run(meters, seconds):
    async def story():
        tasks = [asyncio.create_task(meter.run(meter.beat)) for meter in meters]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    in_virtual_time(story())
    return meters


def pauses(meter):
    return [after - before for before, after in itertools.pairwise(meter.tries)]


@pytest.mark.parametrize(("back_s", "most"), [(0.01, 40), (20, 12), (300, 8)])
def test_a_hundred_meters_come_back_spread_when_the_broker_does(back_s, most):
    """`most`: connections within a quarter of a second."""
    meters = run([Meter(f"house-{number}") for number in range(100)], back_s + 61)
    first = [next(at for at in meter.tries if at >= back_s) for meter in meters]
    quarters = collections.Counter(int(at * 4) for at in first)
    assert max(quarters.values()) <= most


def test_each_pause_is_a_half_to_all_of_2_4_8_16_32_60_seconds():
    for meter in run([Meter(f"house-{number}") for number in range(20)], 1000):
        longest = [2, 4, 8, 16, 32] + [60] * 100
        for pause, most in zip(pauses(meter), longest, strict=False):
            assert most / 2 <= pause <= most + 0.01


def test_the_pauses_of_a_meter_differ_from_boot_to_boot():
    one, again, other = run([Meter("house-1"), Meter("house-1"), Meter("house-1", 2)], 300)
    assert one.tries == again.tries != other.tries


def test_the_watchdog_is_fed_every_second_of_a_pause():
    (meter,) = run([Meter("house-1")], 500)
    assert max(pauses(meter)) > 30
    assert max(after - before for before, after in itertools.pairwise(meter.beats)) <= 1.01


class SilentBroker:
    """Both streams of a connection whose broker takes CONNECT and answers nothing else."""

    def __init__(self):
        self.unread = asyncio.Queue()

    def write(self, packet):
        if packet[0] >> 4 == CONNECT:
            self.unread.put_nowait(CONNACK)

    async def drain(self):
        pass

    async def read(self, _length):
        return await self.unread.get()

    def close(self):
        self.unread.put_nowait(b"")


class Shell(mqtt_shell.MqttShell):
    """A session over such a connection."""

    async def _open(self, *_where):
        self._reader = self._writer = SilentBroker()
        await self._write(self._connection.connect(mqtt_shell.now_ms()))
        await self._read()


@pytest.mark.parametrize("ask", ["subscribe", "publish"])
def test_a_broker_that_answers_nothing_is_left_before_the_task_counts_as_silent(ask):
    async def story():
        shell = Shell("house-1", None)
        await shell.connect("broker", 8883)
        reader = asyncio.create_task(shell.run())
        begin = asyncio.get_running_loop().time()
        asked = {"subscribe": [("mt/house-1/owner", 1)], "publish": ["mt/house-1/1/up", b"frame"]}
        with pytest.raises(OSError, match="104"):
            await getattr(shell, ask)(*asked[ask])
        with pytest.raises(OSError, match="110"):
            await reader
        return asyncio.get_running_loop().time() - begin

    assert 30 <= in_virtual_time(story()) <= 32 < LINK_SILENCE_S
