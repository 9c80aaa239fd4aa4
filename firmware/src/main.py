"""The meter's firmware: builds the parts from `meter.json` and keeps their tasks alive.

    micropython main.py --config DIR/meter.json

The order of the start matters: the boot number is durable before anything leaves the meter, and
what happened while the power was down is recorded before anything new.
"""

import asyncio
import gc
import os
import sys

import capacity
import event_codes as codes
import state as items
from actuators import Loads, Supply
from assembly import (
    add_network,
    find_board,
    make_ems,
    make_front_end,
    make_renewing,
    open_credentials,
)
from commands import Commands
from config import load_config
from flash import Flash
from measuring import FixedFrontEnd, Measuring
from meter_state import StateError
from meter_wire.portable.entry import STATUS_DATA_NOT_VALID, STATUS_ERROR
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from meter_wire.portable.tlv import RemoteProtocolError
from oracle_log import Oracle
from recorder import Recorder
from ring import Ring
from start_record import record_start
from state import State
from supervisor import Supervisor
from timekeeper import Timekeeper

VERSION = (0, 1, 0)


def log(text: str) -> None:
    """Write a line of the normal log: what happened, never a value or a key."""
    print("metertwin: " + text)


class Firmware:
    """The parts of one meter."""

    def __init__(self, config, board=None) -> None:
        """Open flash and clock, record the start, make the tasks.

        Args:
            config: see `config.Config`.
            board: see `hal`; None for a meter without pins and watchdog.

        Raises:
            ValueError: the configuration of tariff or electricity is wrong.
            OSError: the flash cannot be used.
        """
        self.config = config
        self.board = board
        self.cause = "unknown" if board is None else board.reset_cause()
        self.state = state = State(Flash(config.state_dir))
        self.boot = state.next_boot()
        self.ring = Ring(
            Flash(config.state_dir), state, config.ring_bytes, config.ring_segments, os.urandom
        )
        self.timekeeper = Timekeeper(
            state, config.has_rtc, config.rtc_error_s * 1000,
            set_board=None if board is None else board.set_clock,
        )  # fmt: skip
        state.save()
        oracle = Oracle(config.oracle_log) if config.oracle_log else None
        self.recorder = Recorder(self.ring, self.timekeeper, self.boot, oracle)
        front_end = make_front_end(config, board, self.timekeeper)
        self.measuring = Measuring(config, state, self.recorder, self.timekeeper, front_end)
        self._restore()
        self._record_start()
        self.loads = Loads(config.loads, os.urandom, state.get(items.LOADS))
        self.supply = Supply(config.never_disconnect, state.get(items.SUPPLY), config.has_supply)
        self.measuring.set_supply(self.supply.state)
        self._make_tasks()

    def _restore(self) -> None:
        try:
            self.measuring.restore()
        except StateError:
            log("registers: the kept ones are damaged, counting from zero")
            self.recorder.sticky = STATUS_ERROR | STATUS_DATA_NOT_VALID

    def _record_start(self) -> None:
        version = VERSION[0] << 16 | VERSION[1] << 8 | VERSION[2]
        record_start(self.recorder, self.state, self.timekeeper, self.boot, version, self.cause)
        self.measuring.save()

    def _make_tasks(self) -> None:
        config = self.config
        uptime_ms = self.timekeeper.uptime_ms
        self.ems = make_ems(
            config, self.board, self.measuring.snapshot, self._local_action, uptime_ms
        )
        self.commands = Commands(
            self.state, self.recorder, self.timekeeper, self.measuring,
            self.loads, self.supply, self.ems,
        )  # fmt: skip
        self.local = self._make_local()
        self.local.poll_loads()
        self.link_task = self._make_link()
        self.supervisor = Supervisor(uptime_ms, self._on_restart, self._watchdog(), log)
        self.supervisor.add("measuring", self.measuring.run)
        self.supervisor.add("link", self.link_task.run, 60000)
        self.supervisor.add("loads", self.local.run_loads)
        if self.ems is not None:
            self.supervisor.add("ems", self.ems.run, 60000)
            if self.ems.line is not None:
                self.supervisor.add("serial", self.ems.line.run)
        front_end = self.measuring.front_end
        wire = getattr(front_end, "wire", None)
        if wire is not None:
            self.supervisor.add("wire", lambda beat: wire.run(beat, front_end), 60000)
        if self.contacts:
            self.supervisor.add("inputs", self.local.run_inputs)
        add_network(self.supervisor, config, self.board, self.commands, uptime_ms, log)

    def _make_local(self):
        from local_control import CONTACTS, Contactors, LocalControl  # noqa: PLC0415

        board = self.board
        self.contacts = {}
        if board is not None:
            self.commands.contactors = Contactors(board, self.loads.loads, self.supply.state)
            for name in CONTACTS:
                if board.has_pin(name):
                    self.contacts[name] = board.input(name).is_on
        return LocalControl(
            self.config, self.state, self.commands, self.measuring, self.recorder, self.loads,
            self.contacts,
        )  # fmt: skip

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
        tls = make = None
        renew_from_s = 0
        if config.tls:
            tls, renew_from_s = open_credentials(config, self.timekeeper, self._on_credentials, log)
            if renew_from_s or config.renewal_port:
                make = self._make_renewing
        task = LinkTask(config, link, self.commands, self.timekeeper.uptime_ms, tls, log, make)
        task.renew_from_s = renew_from_s
        self.recorder.on_entry = task.wake
        self.commands.wake = task.wake
        return task

    def _make_renewing(self):
        keeper, tell = self.timekeeper, self._on_credentials
        return make_renewing(self.config, self.boot, keeper, tell, log)

    def _on_credentials(self, change: int) -> None:
        self.recorder.event_now(codes.CREDENTIALS, change)

    def _description(self, version: str) -> bytes:
        if isinstance(self.measuring.front_end, FixedFrontEnd):
            return b""
        from meter_wire.portable.description import encode_description  # noqa: PLC0415
        from register_table import describe  # noqa: PLC0415

        rows = describe([row[0] for row in self.measuring.meter.rows(None)])
        return encode_description(self.config.serial, version, rows)

    def _watchdog(self):
        timeout_ms = self.config.watchdog_s * 1000
        if not timeout_ms or self.board is None:
            return None
        from watchdog import Watchdog  # noqa: PLC0415

        board = self.board
        dog = Watchdog(
            lambda: board.watchdog(timeout_ms), self.cause, self.state, self.timekeeper.uptime_ms
        )
        self.state.save()
        return dog.feed

    def _on_restart(self, index: int, restarts: int) -> None:
        self.recorder.event_now(codes.TASK_RESTART, index, restarts)

    async def run(self) -> None:
        """Run for ever."""
        config = self.config
        log("device %s, boot %d" % (config.device, self.boot))
        capture_s = self.measuring.periods.capture_s
        held_s = capacity.held_s(config.ring_bytes, config.ring_segments, capture_s)
        log("ring: %s of readings" % capacity.describe(held_s))
        await self.supervisor.run()


def main(arguments: list) -> int:
    """Run the firmware; return 2 if it cannot be started."""
    if len(arguments) != 2 or arguments[0] != "--config":
        print("usage: micropython main.py --config DIR/meter.json")
        return 2
    try:
        firmware = Firmware(load_config(arguments[1]), find_board())
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
