"""The small profile's contacts: tamper, last gasp, button.

Loaded only when the board declares a contact; `inputs` decides, as for `local_control`.
Neighbours: `small`, which starts the task; `small_local`, whose lock-out the button ends;
`hal.esp8266_small` (the pins).
"""

import asyncio
import gc

import state as items
from inputs import GASP, HELD, Contact, LastGasp

INPUTS_MS = 100
POWER_MS = 20
"""How often contacts are looked at, with an input for a failing power."""
BEAT = 2
"""Its bit of the meter's beats, see `small`."""
POWER_DOWN = 1
POWER_HELD = 26
TAMPER = (("cover", 5), ("magnet", 6))
"""(contact, its event)."""
CONTACTS = ("cover", "magnet", "button", "power_fail")


class Inputs:
    """The contacts that the board has; `run` is the task."""

    def __init__(self, meter, contacts: dict) -> None:
        """Attach the contacts.

        Args:
            meter: see `small.Small`.
            contacts: {one of `CONTACTS`: () → whether it is on}.
        """
        self._meter = meter
        self._power = contacts.get("power_fail")
        self._press = contacts.get("button")
        self._button = Contact(True)  # held down at the boot is no action
        self._gasp = LastGasp()
        kept = meter.state.get(items.TAMPER)
        self._bits = kept[0] if kept else 0
        self._watched = []
        for place, (name, code) in enumerate(TAMPER):
            if name in contacts:
                told = Contact(bool(self._bits >> place & 1))
                self._watched.append((contacts[name], told, code, 1 << place))
        self._todo = []

    async def run(self) -> None:
        """Watch the contacts for ever; what fails is done at the next look."""
        while True:
            try:
                self.poll()
                self._meter.beats |= BEAT
            except Exception as error:
                print("inputs:", type(error).__name__)
                gc.collect()
            await asyncio.sleep((POWER_MS if self._power else INPUTS_MS) / 1000)

    def poll(self) -> None:
        """Look at every contact; the power's failure comes first."""
        now_ms = self._meter.uptime_ms()
        step = self._gasp.poll(self._power(), now_ms) if self._power else 0
        if step == GASP:
            self._todo += [(POWER_DOWN, 0), (0, items.GASP, b"\x01")]
        elif step == HELD:
            self._todo += [(0, items.GASP, b""), (POWER_HELD,)]
        for read, contact, code, bit in self._watched:
            if contact.poll(read(), now_ms):
                self._bits = self._bits & ~bit | (bit if contact.told else 0)
                self._todo += [(code, int(contact.told)), (0, items.TAMPER, bytes([self._bits]))]
        if self._press and self._button.poll(self._press(), now_ms) and self._button.told:
            local = self._meter.local
            if local and local.loads.unlock():
                local.poll()
        if self._todo:
            self._work_off()

    def _work_off(self) -> None:
        """Do what is to be done; a failing power leaves no time for a second look."""
        try:
            self._drain()
        except MemoryError:
            gc.collect()
            self._drain()

    def _drain(self) -> None:
        """Record events, and make marks durable, with the registers as they are by now."""
        meter = self._meter
        while self._todo:
            row = self._todo[0]
            if row[0]:
                meter.event(*row)
            else:
                meter.state.set(row[1], row[2])
                meter.count_pulses()
                meter.keep(0)
            self._todo.pop(0)
