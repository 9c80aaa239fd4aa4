"""The meter of a board with a 38 KB heap (ESP8266 class): link, ring, pulses, one load.

The same link core, ring and MQTT shell as `main`; no EMS port, power quality, tariff or TLS. Pulses
come from the board's counter (an S0 output or CF of a HLW8012), a reading has the energy. What
`meter.json` or the board does not declare is not loaded: load and trip (`small_local`), contacts
(`small_inputs`), watchdog, a first time of the network (`sntp`). The bytecode runs in place from a
ROMFS image. Which keys of `meter.json` it reads: the firmware's README. Neighbour: `small_record`,
which is all that needs no network.
"""

import asyncio
import gc
import json
import os
import sys
from binascii import unhexlify

import state as items
from back_off import BackOff
from meter_wire.portable.brokers import Brokers, split_address
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from mqtt_shell import MqttShell, now_ms
from small_record import Record
from untold import keep_owner

GC_THRESHOLD = 2048
"""Octets between two collections: seldom ones leave free heap in pieces, too small for a frame."""
RECORDS_LIMIT = 384
"""Octets of a frame with entries: a longer one is there as entries, frame and packet at a time."""
PAUSE_S = 0.2
"""How often the link is asked for a frame: to wait for news with a limit costs a task each time."""
LINK = 1
"""Bit of the beats: the watchdog is fed when link and contacts have beaten, by who measures."""


class Small(Record):
    """One meter; `run` is everything."""

    def __init__(self, table: dict, flash=None, ticks=now_ms, board=None) -> None:
        """Open the flash and record the start.

        Args:
            table: the configuration.
            flash: where the state is, None for the folder that the configuration names.
            ticks: () → milliseconds, 30 bits.
            board: see `hal.esp8266_small.Board`; None for a meter without pins.
        """
        if hasattr(gc, "threshold"):  # not on CPython
            gc.threshold(GC_THRESHOLD)
        super().__init__(table, flash, ticks, board)
        self.beats, self.awaited = 0, LINK
        self.local = self.inputs = None
        from small_start import load_parts, make_watchdog, record_start  # noqa: PLC0415 - needed once

        cause = board.reset_cause() if board else "power"
        self.feed = make_watchdog(self, board, cause)
        self.restore()
        info = MeterInfo(self.boot, "0.1.0", b"")
        info.records_limit = RECORDS_LIMIT
        self.link = MeterLink(
            table["device"], unhexlify(table["key"]), self.ring, info, os.urandom,
            self.state.get(items.LINK),
        )  # fmt: skip
        self.link.spread_ms = self.periods.spread_s * 1000
        broker = table["broker"]
        self.brokers = Brokers("%s:%d" % (broker["host"], broker.get("port", 1883)))
        self.back_off = BackOff(table["device"], self.boot)
        self.lost = None
        record_start(self, cause)
        load_parts(self, board)
        sys.modules.pop("small_start", None)

    def restore(self) -> None:
        """Take the registers; save them with the boot number."""
        from small_start import take_registers  # noqa: PLC0415 - needed once

        take_registers(self)
        self.keep(0)

    async def measure(self) -> None:
        """Count pulses, move the load and record, for ever; what fails is done a second later."""
        while True:
            pause_ms = 1000
            try:
                pause_ms = self.tick()
                if self.local:
                    self.local.poll()
                if self.feed and self.beats == self.awaited:
                    self.beats = 0
                    self.feed()
            except Exception as error:
                print("metering:", type(error).__name__)
                gc.collect()
            await asyncio.sleep(pause_ms / 1000)

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
                self.beats |= LINK
                out = link.poll(self.uptime_ms())
                if link.serves():
                    self.back_off.reset()
                if out:
                    name = str(out[0]) + "/up" if out[0] else "hello"
                    await shell.publish(base + name, out[1])
                else:
                    await asyncio.sleep(PAUSE_S)
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

    def handle(self, event: tuple) -> None:
        """Carry out what this profile can: owner, time, read and periods; refuse the rest."""
        if event[0] == "owner":
            keep_owner(self.ring, self.state, event[1], self.link.owner)
            self.tell()
        elif event[0] == "time":
            code = self.set_clock(event[3])
            if event[2]:
                self.link.answer(event[1], event[2], code)
        elif event[0] == "read":
            self.link.answer(event[1], event[2], 0, self.entry())
        else:
            code = self.write(*event[3:]) if event[0] == "write" else 3
            self.link.answer(event[1], event[2], code)

    def write(self, target: int, index: int, value: int, seconds: int) -> int:
        """Change a period or limit the load; return the answer's code."""
        if target == 3 and self.local:
            return self.local.limit(index, value, seconds)
        return self.change(target, value)

    async def run(self) -> None:
        """Measure and keep a session for ever; a MemoryError costs one session."""
        asyncio.create_task(self.measure())
        if self.inputs:
            asyncio.create_task(self.inputs.run())
        if "sntp" in self.table:
            from small_sntp import ask_first  # noqa: PLC0415 - costs heap only when needed

            asyncio.create_task(ask_first(self))
        while True:
            try:
                await self.session()
            except Exception as error:
                # who waits for an answer says OSError, whatever the reader died of
                reason = error if self.lost is None else self.lost
                print("link:", type(reason).__name__)
                if not isinstance(reason, MemoryError):  # who has no memory is not well
                    self.beats |= LINK
            gc.collect()
            self.brokers.ended(self.link)
            await asyncio.sleep(self.back_off.next_ms() / 1000)


def main(path: str, open_board=None) -> None:
    """Run the meter of a configuration file.

    Args:
        path: the file.
        open_board: its table → the board (`hal.esp8266_small`), or what counts the pulses.
    """
    with open(path) as file:
        table = json.load(file)
    board = open_board(table) if open_board else None
    if hasattr(board, "count"):
        meter = Small(table, board=board)
    else:
        meter = Small(table)
        meter.count = board
    gc.collect()
    asyncio.run(meter.run())
