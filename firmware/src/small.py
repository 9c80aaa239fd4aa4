"""The meter of a board with a 38 KB heap (ESP8266 class): link, ring, pulse counting, no more.

The same link core, ring and MQTT shell as `main`; no EMS port, power quality, tariff, TLS or
loads. Pulses come from the board's counter (an S0 output or CF of a HLW8012), `pulse_uj` is what
one is worth; a reading has the import energy. Its bytecode runs in place from a ROMFS image. Which
keys of `meter.json` it reads: the firmware's README.
"""

import asyncio
import gc
import json
import os
from binascii import unhexlify

import state as items
from back_off import BackOff
from counter import Counter
from flash import Flash
from meter_wire.portable.brokers import Brokers, split_address
from meter_wire.portable.clock import Clock, Uptime
from meter_wire.portable.entry import encode_event, encode_reading, encode_register
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from mqtt_shell import MqttShell, now_ms
from periods import Periods
from ring import Ring
from state import State

READING = 1
IMPORT_ENERGY = b"\x01\x00\x01\x08\x00\xff"
POWER_UP = 2
CLOCK_STEP = 3
CLOCK_SET = 4
RING_OVERFLOW = 14
OWNER_CHANGE = 15
INCARNATION_NEW = 16
CONFIGURATION = 18
CLOCK_REFUSED = 20
GC_THRESHOLD = 2048
"""Octets between two collections: seldom ones leave free heap in pieces, too small for a frame."""
PULSE_UJ = 2250000000
"""1600 pulses a kWh: 2250 J each."""
CLOCK_INVALID = 0x90
CLOCK_ADJUSTED = 0x02
SAVE_PAUSE_MS = 870000
"""Readings that come faster than this keep the register themselves: one erased block, not two."""
REFUSAL_PAUSE_MS = 3600000
"""A refused time is an event once an hour, as in `commands`."""


class Small:
    """One meter; `run` is everything."""

    def __init__(self, table: dict, flash=None, ticks=now_ms) -> None:
        """Open the flash and record the start; `table` is the configuration."""
        if hasattr(gc, "threshold"):  # not on CPython
            gc.threshold(GC_THRESHOLD)
        self.table = table
        flash = flash or Flash(table.get("state_dir", "state"))
        self.state = state = State(flash)
        ring_bytes, segments = table.get("ring_bytes", 262144), table.get("ring_segments", 8)
        self.ring = Ring(flash, state, ring_bytes, segments, os.urandom)
        self.boot = state.next_boot()
        self.energy = Counter()
        self.ticks = ticks
        self.uptime = Uptime(ticks())
        self.saved_ms = 0
        self.restore()
        capture_s = table.get("capture_period_s", 900)
        self.periods = Periods(state, capture_s, table.get("report_spread_s", 0))
        self.slot = -1
        self.pulses = 0
        self.pulse_uj = table.get("pulse_uj", PULSE_UJ)
        self.rest_uj = 0
        self.count = None
        self.counted = 0
        self.clock = Clock()
        self.adjusted = 0
        self.refused_ms = -REFUSAL_PAUSE_MS
        info = MeterInfo(self.boot, "0.1.0", b"")
        self.link = MeterLink(
            table["device"], unhexlify(table["key"]), self.ring, info, os.urandom,
            state.get(items.LINK),
        )  # fmt: skip
        self.link.spread_ms = self.periods.spread_s * 1000
        broker = table["broker"]
        self.brokers = Brokers("%s:%d" % (broker["host"], broker.get("port", 1883)))
        self.back_off = BackOff(table["device"], self.boot)
        self.news = asyncio.Event()
        self.lost = None
        if self.ring.is_new:
            self.event(INCARNATION_NEW)
        self.event(POWER_UP, -1)

    def restore(self) -> None:
        """Take the register of the state or of a later reading; save the boot number."""
        units = int.from_bytes(self.state.get(items.REGISTERS), "big")
        for seq in range(self.ring.unsaved, self.ring.head + 1):
            got = self.ring.read(seq)
            if got is not None and got[0][0] == READING and got[0][16:19] == IMPORT_ENERGY[2:5]:
                units = max(units, int.from_bytes(got[0][19 : 19 + got[0][15]], "big"))
        self.energy.units = units
        self.keep(0)

    def keep(self, pause_ms: int) -> None:
        """Put the register into the state, save it if that is so long ago."""
        self.state.set(items.REGISTERS, self.energy.units.to_bytes(5, "big"))
        if self.uptime_ms() - self.saved_ms >= pause_ms:
            self.saved_ms = self.uptime_ms()
            self.ring.save()

    def uptime_ms(self) -> int:
        """Return milliseconds since boot (12 days at most between two calls)."""
        return self.uptime.ms(self.ticks())

    def stamp(self) -> tuple:
        """Return (status, UTC second or 0)."""
        utc_ms = self.clock.utc_ms(self.uptime_ms())
        return (CLOCK_INVALID, 0) if utc_ms is None else (0, utc_ms // 1000)

    def event(self, code: int, *arguments) -> None:
        """Record an event of this moment."""
        status, time_s = self.stamp()
        uptime_s = self.uptime_ms() // 1000
        self.append(encode_event(status, time_s, uptime_s, self.boot, code, list(arguments)))

    def append(self, entry: bytes) -> None:
        """Put an entry into the ring, and an event if that overwrote any unacknowledged."""
        lost = self.ring.lost
        self.ring.append(entry)
        if self.ring.lost != lost:
            self.event(RING_OVERFLOW, self.ring.lost)

    def entry(self, status: int = 0, time_s=None) -> bytes:
        """Return a reading, of this moment unless `time_s`; `status`: bits beside the clock's."""
        clock, now_s = self.stamp()
        return encode_reading(
            status | clock, now_s if time_s is None else time_s, self.uptime_ms() // 1000,
            self.boot, [encode_register(IMPORT_ENERGY, self.energy.units)],
        )  # fmt: skip

    async def measure(self) -> None:
        """Count pulses and record a reading each capture period."""
        while True:
            await asyncio.sleep(self.tick() / 1000)

    def tick(self) -> int:
        """Record the reading that is due; return milliseconds until the next look.

        Due at UTC multiples of the period, without a clock at those of the uptime. The reading has
        the boundary's time, since recipients get only those; a look each second notices a step or
        the first time, which cross no boundary.
        """
        now_ms = self.uptime_ms()
        utc_ms = self.clock.utc_ms(now_ms)
        if utc_ms is not None:
            now_ms = utc_ms
        now_s = now_ms // 1000
        slot = now_s // self.periods.capture_s
        if -1 < self.slot < slot:
            if self.count:
                count = self.count()
                self.pulses += count - self.counted
                self.counted = count
            pulses, self.pulses = self.pulses, 0
            whole_mj, self.rest_uj = divmod(pulses * self.pulse_uj + self.rest_uj, 1000)
            self.energy.add(whole_mj, 1)
            self.record(None if utc_ms is None else slot * self.periods.capture_s)
            self.news.set()
        self.slot = slot
        return 1000 - now_ms % 1000

    def record(self, time_s=None) -> None:
        """Record a reading, of this moment unless `time_s` is given."""
        self.keep(SAVE_PAUSE_MS)
        self.append(self.entry(self.adjusted, time_s))
        self.adjusted = 0

    async def session(self) -> None:
        """Serve the link over one broker session, until it is lost or another broker is due."""
        table, link = self.table, self.link
        base = "mt/" + table["device"] + "/"
        self.lost = None
        brokers = self.brokers
        user, password = table["broker"].get("user"), table["broker"].get("password")
        shell = MqttShell(
            table["device"], self.receive, username=user,
            password=password.encode() if password else None,
        )  # fmt: skip
        host, port = split_address(brokers.at)
        await shell.connect(host, port)
        reader = asyncio.create_task(self.read(shell))
        try:
            await shell.subscribe((base + "owner", 1))
            link.connected(self.uptime_ms())
            brokers.connected(link, self.uptime_ms())
            epochs = []
            while self.lost is None and not brokers.leave(link, self.uptime_ms()):
                if link.reread:
                    link.reread = False
                    await shell.subscribe((base + "owner", 1))
                for epoch in link.epochs:
                    if epoch not in epochs:
                        epochs.append(epoch)
                        await shell.subscribe((base + str(epoch) + "/down", 1))
                self.news.clear()
                out = link.poll(self.uptime_ms())
                if link.serves():
                    self.back_off.reset()
                if out:
                    name = str(out[0]) + "/up" if out[0] else "hello"
                    await shell.publish(base + name, out[1])
                else:
                    try:
                        await asyncio.wait_for(self.news.wait(), 1)
                    except asyncio.TimeoutError:
                        pass
            if self.lost is not None:
                raise self.lost
        finally:
            link.disconnected()
            reader.cancel()
            shell.abort()

    async def read(self, shell) -> None:
        """Read until the session is lost."""
        try:
            await shell.run()
        except Exception as error:
            self.lost = error
        self.news.set()

    def receive(self, message) -> None:
        """Take a message of the broker."""
        parts = message.topic.split("/")
        now = self.uptime_ms()
        if parts[-1] == "owner":
            event = self.link.receive_owner(bytes(message.payload), now)
        else:
            event = self.link.receive(
                int(parts[2]), bytes(message.payload), now, bool(message.retain),
                bool(message.dup),
            )  # fmt: skip
        if event:
            self.handle(event)
        self.news.set()

    def handle(self, event: tuple) -> None:
        """Carry out what this profile can: owner, time, read and periods; refuse the rest."""
        if event[0] == "owner":
            self.state.set(items.LINK, event[1])
            self.state.save()
            owner = self.link.owner
            if owner is not None:
                self.event(OWNER_CHANGE, owner.active, owner.candidate)
        elif event[0] == "time":
            code = self.set_clock(event[3])
            if event[2]:
                self.link.answer(event[1], event[2], code)
        elif event[0] == "read":
            self.link.answer(event[1], event[2], 0, self.entry())
        else:
            code = self.change(event[3], event[5]) if event[0] == "write" else 3
            self.link.answer(event[1], event[2], code)

    def change(self, target: int, value: int) -> int:
        """Change the capture period or the report spread; return the answer's code."""
        periods = self.periods
        if target == 1:
            if value == periods.capture_s:
                return 0
            done = periods.set_capture(value)
            self.slot = -1
        elif target == 2:
            if value == periods.spread_s:
                return 0
            done = periods.set_spread(value)
            self.link.spread_ms = periods.spread_s * 1000
        else:
            return 3
        if not done:
            return 9
        self.event(CONFIGURATION, target)
        return 0

    def set_clock(self, utc_ms: int) -> int:
        """Set the clock by the rules of `clock`, unsigned; return the answer's code."""
        decision, offset_ms = self.clock.set(utc_ms, self.uptime_ms(), False)
        self.link.info.clock_state = 1
        if decision == "refused":
            self.link.count("unsigned")
            if self.uptime_ms() - self.refused_ms >= REFUSAL_PAUSE_MS:
                self.refused_ms = self.uptime_ms()
                self.event(CLOCK_REFUSED, offset_ms)
            return 6
        if decision == "first":
            self.event(CLOCK_SET)
        elif decision == "stepped":
            self.event(CLOCK_STEP, offset_ms)
        if decision != "slewed":
            self.adjusted = CLOCK_ADJUSTED
            self.slot = -1
        return 0

    async def run(self) -> None:
        """Measure and keep a session for ever; a MemoryError costs one session."""
        measuring = asyncio.create_task(self.measure())
        while True:
            try:
                await self.session()
            except Exception as error:
                print("link:", type(error).__name__)
            self.brokers.ended(self.link)
            gc.collect()
            if measuring.done():
                measuring = asyncio.create_task(self.measure())
            await asyncio.sleep(self.back_off.next_ms() / 1000)


def main(path: str, open_board=None) -> None:
    """Run the meter of a configuration file; `open_board`: its table → what counts the pulses."""
    with open(path) as file:
        table = json.load(file)
    meter = Small(table)
    if open_board:
        meter.count = open_board(table)
    gc.collect()
    asyncio.run(meter.run())
