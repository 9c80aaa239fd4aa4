"""Simulated meters, all in this process: the real link core over the real MQTT shell, mutual TLS.

A program of its own, because it runs inside the cluster's network: `fleet.py` starts it, talks to
it through lines of standard input and reads lines of JSON. The ring is in memory; MQTT reconnects
with the twin's own back-off.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from meter_twin.mqtt_shell import BrokerSettings, MqttShell, NotConnectedError, tls_context
from meter_wire.memory import MemoryRing
from meter_wire.portable.entry import encode_reading, encode_register
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from meter_wire.portable.mqtt_event import Message

REGISTERS = [bytes((1, 0, group, 8, rate, 255)) for group in (1, 2) for rate in range(5)]
REGISTERS += [bytes((1, 0, group, 7, 0, 255)) for group in (16, 31, 51, 71, 32, 52, 72, 14)]
AHEAD = 60  # readings of a meter that wait for their acknowledgement
CAPACITY = 5000


def encode_sample(time_s: int, number: int) -> bytes:
    """Return a reading of 18 registers, as a household's."""
    registers = [encode_register(code, 230_000 + number) for code in REGISTERS]
    return encode_reading(0, time_s, time_s & 0xFFFF, 1, registers)


class Meter:
    """One meter: its link, its ring, its session with the broker."""

    def __init__(self, device: str, key: bytes, broker: tuple[str, int], folder: Path) -> None:
        """`key`: K_meter; `folder` holds ca.crt and the meter's certificate and key."""
        self.device, self.key = device, key
        self.ring = MemoryRing(os.urandom(8), CAPACITY)
        self.link = MeterLink(device, key, self.ring, MeterInfo(1, "bench", b""), os.urandom, b"")
        self.born = time.monotonic()
        self.base_s = int(time.time()) - 86_400
        self.flooding = False
        self.waiting: deque[tuple[int, float]] = deque()
        self.delays_ms: list[float] = []
        self.connected_at = 0.0
        self.wake = asyncio.Event()
        context = tls_context(folder / "ca.crt", folder / f"{device}.crt", folder / f"{device}.key")
        context.check_hostname = False  # the Service is dialled by its address
        settings = BrokerSettings(*broker, device, keep_alive_s=30)
        self.shell = MqttShell(settings, self._receive, context, self._connected, self._lost)

    def _now_ms(self) -> int:
        return int((time.monotonic() - self.born) * 1000)

    async def _connected(self) -> None:
        self.connected_at = time.monotonic()
        self.link.connected(self._now_ms())
        self.wake.set()

    def _lost(self, _error: Exception, _ids: list[int]) -> None:
        self.connected_at = 0.0
        self.link.disconnected()

    async def _receive(self, message: Message) -> None:
        if message.topic.endswith("/down"):
            epoch = int(message.topic.split("/")[2])
            flags = bool(message.retain), bool(message.dup)
            event = self.link.receive(epoch, message.payload, self._now_ms(), *flags)
            if event and event[0] == "write" and isinstance(event[2], int):  # its settings
                self.link.answer(epoch, event[2], 0)
        else:
            self.link.receive_owner(message.payload, self._now_ms())
        while self.waiting and self.waiting[0][0] <= self.ring.stored:
            self.delays_ms.append((time.monotonic() - self.waiting.popleft()[1]) * 1000)
        self.wake.set()

    async def run(self) -> None:
        """Stay connected, send what the link wants to send, and fill the ring when flooding."""
        for topic in (f"mt/{self.device}/owner", f"mt/{self.device}/+/down"):
            await self.shell.subscribe(topic)
        session = asyncio.create_task(self.shell.run())
        try:
            while True:
                if self.flooding:
                    self._fill()
                if self.shell.connected.is_set():
                    with contextlib.suppress(NotConnectedError):
                        await self._send()
                self.wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), 0.2)
        finally:
            session.cancel()

    def _fill(self) -> None:
        while self.ring.head - self.ring.stored < AHEAD:
            self.ring.append(encode_sample(self.base_s + self.ring.head * 60, self.ring.head))

    def capture(self) -> None:
        """Take a reading of now; the time until it is acknowledged is kept."""
        self.ring.append(encode_sample(int(time.time()), self.ring.head))
        self.waiting.append((self.ring.head, time.monotonic()))
        self.wake.set()

    async def _send(self) -> None:
        while (out := self.link.poll(self._now_ms())) is not None:
            epoch, payload = out
            topic = f"mt/{self.device}/{epoch}/up" if epoch else f"mt/{self.device}/hello"
            await self.shell.publish(topic, payload)


def say(**what: object) -> None:
    """Answer with one line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def wait_for(condition: Callable[[], object], timeout_s: float) -> bool:
    """Return whether the condition held within the time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False


async def flood(meters: list[Meter], seconds: float) -> None:
    """Send as fast as the twins acknowledge; the first quarter is not counted."""
    for meter in meters:
        meter.flooding = True
        meter.wake.set()
    await asyncio.sleep(seconds / 4)
    begun, before = time.monotonic(), [meter.ring.stored for meter in meters]
    rates = []
    for _ in range(3):
        at, count = time.monotonic(), sum(meter.ring.stored for meter in meters)
        await asyncio.sleep(seconds / 4)
        more = sum(meter.ring.stored for meter in meters) - count
        rates.append(more / (time.monotonic() - at))
    each = [meter.ring.stored - old for meter, old in zip(meters, before, strict=True)]
    for meter in meters:
        meter.flooding = False
    await wait_for(lambda: all(meter.ring.stored == meter.ring.head for meter in meters), 20)
    left = sum(meter.ring.head - meter.ring.stored for meter in meters)
    say(rates=rates, slowest=min(each), seconds=time.monotonic() - begun, unstored=left,
        processor_s=time.process_time())  # fmt: skip


async def steady(meters: list[Meter], seconds: float) -> None:
    """Take a reading a second with each meter; say how long each waited for its acknowledgement."""
    for meter in meters:
        meter.delays_ms.clear()
    begun = time.monotonic()
    for beat in range(int(seconds * len(meters))):  # one after the other, evenly over each second
        await asyncio.sleep(max(0.0, begun + beat / len(meters) - time.monotonic()))
        meters[beat % len(meters)].capture()
    await wait_for(lambda: all(meter.ring.stored == meter.ring.head for meter in meters), 60)
    say(delays_ms=[one for meter in meters for one in meter.delays_ms],
        heads={meter.device: meter.ring.head for meter in meters},
        unstored=sum(meter.ring.head - meter.ring.stored for meter in meters))  # fmt: skip


async def fill(meter: Meter, count: int) -> None:
    """Send readings of one a minute up to now; say when all are acknowledged."""
    meter.base_s = int(time.time()) - 60 * (count + meter.ring.head)
    while meter.ring.head < count:
        if meter.ring.head - meter.ring.stored < AHEAD:
            meter.ring.append(encode_sample(meter.base_s + meter.ring.head * 60, meter.ring.head))
            meter.wake.set()
        else:
            await asyncio.sleep(0.005)
    await wait_for(lambda: meter.ring.stored == meter.ring.head, 60)
    say(unstored=meter.ring.head - meter.ring.stored, head=meter.ring.head)


async def reconnect(meters: list[Meter], timeout_s: float) -> None:
    """Say when the first session was lost and when every meter was back (monotonic clock)."""
    say(armed=True)
    lost = await wait_for(lambda: not all(meter.connected_at for meter in meters), timeout_s)
    lost_at = time.monotonic()
    back = lost and await wait_for(
        lambda: all(m.connected_at >= lost_at for m in meters), timeout_s
    )
    times = [meter.connected_at for meter in meters]
    say(back=back, times=times)


async def main() -> None:
    """Connect the meters of `folder/meters.json`, then obey lines until `end`.

    flood S, reconnect S, steady S, fill DEVICE COUNT.
    """
    folder = Path(sys.argv[1])
    document = json.loads((folder / "meters.json").read_text())
    broker = document["host"], document["port"]
    meters = [
        Meter(device, bytes.fromhex(key), broker, folder)
        for device, key in document["keys"].items()
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(meter.run()) for meter in meters]
        for meter in meters:
            meter.ring.append(encode_sample(meter.base_s, 0))
        done = await wait_for(lambda: all(meter.ring.stored for meter in meters), 120)
        say(connected=sum(bool(m.connected_at) for m in meters), speaking=done,
            stored=sum(bool(meter.ring.stored) for meter in meters))  # fmt: skip
        while line := (await asyncio.to_thread(sys.stdin.readline)).split():
            if line[0] == "flood":
                await flood(meters, float(line[1]))
            elif line[0] == "reconnect":
                await reconnect(meters, float(line[1]))
            elif line[0] == "steady":
                await steady(meters, float(line[1]))
            elif line[0] == "fill":
                (meter,) = [one for one in meters if one.device == line[1]]
                await fill(meter, int(line[2]))
            else:
                break
        for task in tasks:
            task.cancel()


asyncio.run(main())
