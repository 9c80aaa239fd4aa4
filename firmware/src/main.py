"""The meter's firmware: builds the parts from `meter.json` and keeps their tasks alive.

    micropython main.py --config DIR/meter.json

The order of the start matters: the boot number is durable before anything leaves the meter, and
what happened while the power was down is recorded before anything new.
"""

import asyncio
import gc
import os
import sys

import event_codes as codes
import state as items
from actuators import Loads, Supply
from commands import Commands
from config import ConfigError, load_config
from flash import Flash
from measuring import FixedFrontEnd, Measuring
from meter_state import StateError
from meter_wire.portable.entry import STATUS_DATA_NOT_VALID, STATUS_ERROR, STATUS_POWER_DOWN
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from meter_wire.portable.tlv import RemoteProtocolError
from recorder import Oracle, Recorder
from ring import Ring
from state import State
from supervisor import Supervisor
from timekeeper import Timekeeper

VERSION = (0, 1, 0)


def log(text: str) -> None:
    """Write a line of the normal log: what happened, never a value or a key."""
    print("metertwin: " + text)


class Firmware:
    """The parts of one meter."""

    def __init__(self, config) -> None:
        """Open flash and clock, record the start, make the tasks.

        Raises:
            ValueError: the configuration of tariff or electricity is wrong.
            OSError: the flash cannot be used.
        """
        self.config = config
        self.state = state = State(Flash(config.state_dir))
        self.boot = state.next_boot()
        self.ring = Ring(
            Flash(config.state_dir), state, config.ring_bytes, config.ring_segments, os.urandom
        )
        self.timekeeper = Timekeeper(state, config.has_rtc, config.rtc_error_s * 1000)
        state.save()
        oracle = Oracle(config.oracle_log) if config.oracle_log else None
        self.recorder = Recorder(self.ring, self.timekeeper, self.boot, oracle)
        self.measuring = Measuring(config, state, self.recorder, self.timekeeper, self._front_end())
        self._restore()
        self._record_start()
        self.loads = Loads(config.loads, os.urandom, state.get(items.LOADS))
        self.supply = Supply(config.never_disconnect, state.get(items.SUPPLY), config.has_supply)
        self.measuring.set_supply(self.supply.state)
        self._make_tasks()

    def _front_end(self):
        config = self.config
        if config.electricity is None:
            return FixedFrontEnd()
        from electricity import load_electricity  # noqa: PLC0415

        utc_s, utc_ms = self.timekeeper.utc()
        return load_electricity(config.electricity, config.profiles, utc_s or 0, utc_ms)

    def _restore(self) -> None:
        try:
            self.measuring.restore()
        except StateError:
            log("registers: the kept ones are damaged, counting from zero")
            self.recorder.sticky = STATUS_ERROR | STATUS_DATA_NOT_VALID

    def _record_start(self) -> None:
        recorder = self.recorder
        alive_ms = self.timekeeper.last_alive_ms
        utc_s, utc_ms = self.timekeeper.utc()
        if self.ring.is_new:
            recorder.event_now(codes.INCARNATION_NEW)
        outage_ms = -1
        if alive_ms is not None:
            recorder.event(codes.POWER_DOWN, alive_ms // 1000, 1)
            recorder.status |= STATUS_POWER_DOWN
            if utc_s is not None:
                outage_ms = max(-1, utc_s * 1000 + utc_ms - alive_ms)
        recorder.event_now(codes.POWER_UP, outage_ms)
        version = VERSION[0] << 16 | VERSION[1] << 8 | VERSION[2]
        recorder.event_now(codes.FIRMWARE_START, self.boot, version)
        self.measuring.save()

    def _make_tasks(self) -> None:
        config = self.config
        self.ems = None
        if config.ems_port:
            from ems import EmsPort  # noqa: PLC0415

            self.ems = EmsPort(config, self.measuring.snapshot, self._local_action)
        self.commands = Commands(
            self.state, self.recorder, self.timekeeper, self.measuring,
            self.loads, self.supply, self.ems,
        )  # fmt: skip
        self.commands.poll_loads()
        self.link_task = self._make_link()
        uptime_ms = self.timekeeper.uptime_ms
        self.supervisor = Supervisor(uptime_ms, self._on_restart, self._watchdog(), log)
        self.supervisor.add("measuring", self.measuring.run)
        self.supervisor.add("link", self.link_task.run, 60000)
        self.supervisor.add("loads", self._run_loads)
        if self.ems is not None:
            self.supervisor.add("ems", self.ems.run, 60000)
        front_end = self.measuring.front_end
        wire = getattr(front_end, "wire", None)
        if wire is not None:
            self.supervisor.add("wire", lambda beat: wire.run(beat, front_end), 60000)

    def _local_action(self) -> bool:
        return self.commands.local_action()

    def _make_link(self):
        from link_task import LinkTask  # noqa: PLC0415

        config = self.config
        version = "%d.%d.%d" % VERSION
        info = MeterInfo(self.boot, version, self._description(version))
        info.clock_state = int(self.timekeeper.clock.valid)
        info.capabilities = (
            (1 if self.ems is not None else 0)
            | (2 if config.loads else 0)
            | (4 if config.has_supply else 0)
            | (8 if config.utility_key else 0)
            | (32 if self.measuring.quality is not None else 0)
        )
        verify = None
        if config.utility_key:
            from meter_wire.portable.order import verifier  # noqa: PLC0415
            from orders import Gate  # noqa: PLC0415

            verify = Gate(verifier(config.utility_key), self.timekeeper.uptime_ms)
        arguments = (config.device, config.key, self.ring, info, os.urandom)
        try:
            link = MeterLink(*arguments, self.state.get(items.LINK), verify)
        except RemoteProtocolError:
            log("link: the kept owner record is not authentic, waiting for a new one")
            link = MeterLink(*arguments, b"", verify)
        link.spread_ms = self.measuring.periods.spread_s * 1000
        self.commands.link = link
        tls = None
        if config.tls:
            from mqtt_shell import tls_context  # noqa: PLC0415

            try:
                tls = tls_context(config.tls["ca"], config.tls["cert"], config.tls["key"])
            except (OSError, ValueError):
                raise ConfigError(
                    "tls: ca, cert or key is not DER or PEM; provision the meter again"
                )
        task = LinkTask(config, link, self.commands, self.timekeeper.uptime_ms, tls, log)
        self.recorder.on_entry = task.wake
        self.commands.wake = task.wake
        return task

    def _description(self, version: str) -> bytes:
        if self.config.electricity is None:
            return b""
        from meter_wire.portable.description import encode_description  # noqa: PLC0415
        from register_table import describe  # noqa: PLC0415

        rows = describe([row[0] for row in self.measuring.meter.rows(None)])
        return encode_description(self.config.serial, version, rows)

    def _watchdog(self):
        if not self.config.watchdog_s:
            return None
        try:
            from machine import WDT  # type: ignore # noqa: PLC0415
        except ImportError:
            return None  # the unix port has none
        return WDT(timeout=self.config.watchdog_s * 1000).feed

    def _on_restart(self, index: int, restarts: int) -> None:
        self.recorder.event_now(codes.TASK_RESTART, index, restarts)

    async def _run_loads(self, beat) -> None:
        while True:
            beat()
            self.commands.poll_loads()
            await asyncio.sleep(1)

    async def run(self) -> None:
        """Run for ever."""
        log("device %s, boot %d" % (self.config.device, self.boot))
        await self.supervisor.run()


def main(arguments: list) -> int:
    """Run the firmware; return 2 if it cannot be started."""
    if len(arguments) != 2 or arguments[0] != "--config":
        print("usage: micropython main.py --config DIR/meter.json")
        return 2
    try:
        firmware = Firmware(load_config(arguments[1]))
    except ValueError as error:
        print("metertwin: " + str(error))
        return 2
    except OSError as error:
        print("metertwin: state_dir: cannot be used (%s); give a writable folder" % (error,))
        return 2
    gc.collect()
    asyncio.run(firmware.run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
