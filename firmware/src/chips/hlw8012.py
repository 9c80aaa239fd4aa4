"""HLW8012 and BL0937: pulse trains instead of a bus.

CF gives a pulse for each piece of active energy. CF1 is proportional to the RMS of voltage or
current, whichever the pin SEL chooses (low: current, high: voltage). Neither knows the frequency of
the mains nor the direction of energy. A board that drives SEL through a transistor turns it round:
its declaration says `inverted`.

Sources: Hiliwi, HLW8012 user manual REV 1.3, 1.3 (SEL; pulses of half a period) and 3.2, with
f_CF = V1·V2·48/Vref²·f_osc/128, f_CFI = V1·24/Vref·f_osc/512, f_CFU = V2·2/Vref·f_osc/512, Vref
2.43 V (2.4: 2.3 to 2.55), f_osc 3.579 MHz (2.3: 3.04 to 4.12); Shanghai Belling, BL0937 data sheet
V1.02 as ESPHome's driver has it, with f_CF = 1721506·V1·V2/Vref², f_CFI = 94638·V1/Vref,
f_CFU = 15397·V2/Vref, Vref 1.218 V, pulses of 38 µs. V1 is across the shunt, V2 at the divider.
**A HLW8012 is not trimmed:** by those tolerances its energy may be a quarter wrong until it is
calibrated. Neighbours: `pulses` (CF), `chip_front_end`.
"""

from chips import Driver
from chips.pulses import PulseTrain

MODELS = {
    "hlw8012": (2430, (48 * 3579000, 128), (24 * 3579000, 512), (2 * 3579000, 512)),
    "bl0937": (1218, (1721506, 1), (94638, 1), (15397, 1)),
}
"""Chip → Vref in mV and the constants of CF, current and voltage, as fractions of Hz."""
SETTLE_MS = 1000
"""CF1 after a change of SEL: the first of its periods mix both quantities."""
WINDOW_MS = 2000
"""Time for one quantity, settling included."""


def circuit(model: str, shunt_uohm: int, divider_ohm: list) -> dict:
    """Return quantity → (numerator, denominator): mV and mA for a µHz of CF1; mJ of a pulse of CF.

    Args:
        model: a key of `MODELS`.
        shunt_uohm: the resistor that the current passes.
        divider_ohm: [whole, lower part] of the voltage divider.
    """
    vref_mv, power, current, voltage = MODELS[model]
    whole, lower = divider_ohm
    return {
        "voltage": (vref_mv * whole * voltage[1], voltage[0] * lower * 1000000),
        "current": (vref_mv * current[1], current[0] * shunt_uohm),
        "energy": (1000 * vref_mv * vref_mv * whole * power[1], power[0] * shunt_uohm * lower),
    }


class Hlw8012(Driver):
    """Counts CF all the time and looks at voltage and current by turns."""

    measures = ("rms",)

    def __init__(self, cf, cf1, sel, scales: dict, energy: tuple) -> None:
        """Attach a chip; it shows the voltage first.

        Args:
            cf: counter of CF.
            cf1: counter of CF1; only its periods matter.
            sel: output that chooses what CF1 is.
            scales: "voltage", "current" → `calibration.Scale` of µHz.
            energy: (mJ, pulses) of CF.
        """
        self._train = PulseTrain(cf, *energy)
        self.energy = self._train.energy
        self._cf1 = cf1
        self._sel = sel
        self._scales = scales
        self._voltage_mv: "int | None" = None
        self._current_ma: "int | None" = None
        self._choose(True)

    def _choose(self, is_voltage: bool) -> None:
        self._is_voltage = is_voltage
        self._chosen_ms = 0
        self._settled = False
        self._sel.set(is_voltage)

    def poll(self, passed_ms: int) -> None:
        """Count what came on CF; read CF1 at the end of its window and turn SEL."""
        train = self._train
        train.poll(passed_ms)
        energy_mj = self.energy_mj + train.energy_mj
        self.energy_mj, train.energy_mj = energy_mj, 0
        self._chosen_ms += passed_ms
        if not self._settled:
            if self._chosen_ms >= SETTLE_MS:
                self._cf1.period_us()
                self._settled = True
        elif self._chosen_ms >= WINDOW_MS:
            self._read(self._cf1.period_us())
            self._choose(not self._is_voltage)
        if self.silent or self._voltage_mv is None:
            self.sample = Driver.sample
        else:
            power_w = self._train.power_w()
            self.sample = (None, power_w, None, self._voltage_mv, self._current_ma)

    def _read(self, period_us: int) -> None:
        """Take a window's mean period; without a pulse of the voltage the chip is dead."""
        frequency_uhz = 1000000000000 // period_us if period_us > 0 else 0
        if self._is_voltage:
            self.silent = not frequency_uhz
            self._voltage_mv = self._scales["voltage"].magnitude(frequency_uhz)
        else:
            self._current_ma = self._scales["current"].magnitude(frequency_uhz)
