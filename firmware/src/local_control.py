"""What the meter does by itself within a second: trips, contacts, last gasp, its contactors.

Needs no twin, no broker and no network; its two tasks are the supervisor's as all others. Moves
first and records then: a contactor does not wait for the flash. Neighbours: `trips` and `inputs`
decide, `actuators` (through `commands`) moves, `hal` has the pins, `main` adds the tasks.
"""

import asyncio
import gc

import state as items
from event_codes import POWER_DOWN, POWER_HELD, TAMPER_COVER, TAMPER_MAGNET, TRIP
from inputs import GASP, HELD, Contact, LastGasp
from registers import CONNECTED
from trips import Trips, quantities

INPUTS_MS = 100
POWER_MS = 20
"""How often contacts are looked at, with an input for a failing power; a long write delays it."""
STALE_MS = 5000
"""An older sample is none: the metering task is down, or the measuring chip is silent."""
CONTACTS = ("cover", "magnet", "button", "power_fail")
_TAMPER = (("cover", TAMPER_COVER), ("magnet", TAMPER_MAGNET))


def _is_off() -> bool:
    return False


class Contactors:
    """The board's outputs `load0`… and `supply`, as far as it has them."""

    def __init__(self, board, loads: list, supply_state: int) -> None:
        """Open them, at once in the actuators' state."""
        self._loads = []
        for index, load in enumerate(loads):
            name = "load%d" % index
            has = board.has_pin(name)
            self._loads.append(board.output(name, load.closed) if has else None)
        self._supply = None
        if board.has_pin("supply"):
            self._supply = board.output("supply", supply_state == CONNECTED)

    def set_loads(self, loads: list) -> None:
        """Bring every output to its load's state; that it was there already is no reason not to."""
        for output, load in zip(self._loads, loads):
            if output is not None:
                output.set(load.closed)

    def set_supply(self, state: int) -> None:
        """Bring the relay to 0-0:96.3.10."""
        if self._supply is not None:
            self._supply.set(state == CONNECTED)


class LocalControl:
    """Trips and inputs; `run_loads` and `run_inputs` are the tasks."""

    def __init__(self, config, state, commands, measuring, recorder, loads, contacts: dict) -> None:
        """Attach the parts.

        Args:
            config: trips and tick_ms.
            state: the durable items.
            commands: see `commands.Commands`.
            measuring: see `measuring.Measuring`.
            recorder: see `recorder.Recorder`.
            loads: see `actuators.Loads`.
            contacts: {one of `CONTACTS`: () → whether it is on}, those that the board has.
        """
        self._state = state
        self._commands = commands
        self._measuring = measuring
        self._recorder = recorder
        self._loads = loads
        self._contacts = contacts
        self._trips = Trips(config.trips)
        self._news = []
        self._stale_ms = max(STALE_MS, 3 * config.tick_ms)
        self._loads_ms = min(1000, config.tick_ms) if config.trips else 1000
        self._inputs_ms = POWER_MS if "power_fail" in contacts else INPUTS_MS
        kept = state.get(items.TAMPER)
        bits = kept[0] if kept else 0
        self._watched = []
        for place, (name, code) in enumerate(_TAMPER):
            read = contacts.get(name, _is_off)
            self._watched.append((read, Contact(bool(bits >> place & 1)), code))
        self._todo = []
        self._button = Contact(True)  # held down at the boot is no action
        self.gasp = LastGasp()

    async def run_loads(self, beat) -> None:
        """Judge trips and let limits expire, for ever."""
        while True:
            beat()
            self.poll_loads()
            await asyncio.sleep(self._loads_ms / 1000)

    async def run_inputs(self, beat) -> None:
        """Watch the contacts for ever."""
        while True:
            beat()
            self.poll_inputs()
            await asyncio.sleep(self._inputs_ms / 1000)

    def poll_loads(self) -> None:
        """Judge the last sample, move what is to be moved, record both."""
        now_ms = self._commands.timekeeper.uptime_ms()
        measuring, loads = self._measuring, self._loads
        values = quantities(None, [])
        if now_ms - measuring.sampled_ms < self._stale_ms:
            values = quantities(measuring.meter.frequency_mhz, measuring.meter.phases)
        self._news += self._trips.poll(values, now_ms)
        for index in range(len(loads.loads)):
            loads.protect(index, self._trips.sources(index), now_ms)
        self._commands.poll_loads()
        self._recorder.drain(self._news, lambda *row: self._recorder.event_now(TRIP, *row))

    def poll_inputs(self) -> None:
        """Look at every contact; the power's failure comes first."""
        now_ms = self._commands.timekeeper.uptime_ms()
        contacts = self._contacts
        failing = "power_fail" in contacts and contacts["power_fail"]()
        step = self.gasp.poll(failing, now_ms)
        if step == GASP:
            self._todo += [(self._tell, POWER_DOWN, 0), (self._mark,)]
        elif step == HELD:
            self._todo += [(self._unmark,), (self._tell, POWER_HELD)]
        for read, contact, code in self._watched:
            if contact.poll(read(), now_ms):
                self._todo += [(self._tell, code, int(contact.told)), (self._keep_tamper,)]
        if "button" in contacts and self._button.poll(contacts["button"](), now_ms):
            if self._button.told:
                self._todo.append((self._commands.local_action,))
        if self._todo:
            self._work_off()

    def _work_off(self) -> None:
        """Do what is to be done; a failing power leaves no time for a restart of the task."""
        drain = self._recorder.drain
        try:
            drain(self._todo, _call)
        except MemoryError:
            gc.collect()
            drain(self._todo, _call)

    def _tell(self, *row) -> None:
        self._recorder.event_now(*row)

    def _mark(self) -> None:
        """Save registers, clock and marks, and that the power's failure is told: one slot.

        The event came before: a power cut between the two leaves it as the newest entry, which the
        next start knows (`start_record`).
        """
        self._state.set(items.GASP, b"\x01")
        self._measuring.save()

    def _unmark(self) -> None:
        """Take the mark away before it is told that the power did not go, as at a start."""
        self._state.set(items.GASP, b"")
        self._state.save()

    def _keep_tamper(self) -> None:
        bits = 0
        for place, (_read, contact, _code) in enumerate(self._watched):
            bits |= int(contact.told) << place
        self._state.set(items.TAMPER, bytes([bits]))
        self._state.save()


def _call(work, *arguments) -> None:
    work(*arguments)
