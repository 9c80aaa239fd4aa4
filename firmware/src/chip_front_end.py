"""The front end of a real meter: one chip or pulse input, and perhaps a generator's channel.

`board` declares the circuit ("chip", and "circuit" where it differs from the data sheet's typical
one: {"shunt_uohm", "divider_ohm": [whole, lower part], "address"; for a waveform "uv_per_step",
"ua_per_step"}; "pulses_per_kwh"), `meter.json` the meter: `calibration`, and `pulses`:

    {"utility": {"per_kwh": 1600, "start_wh": 1234567}, "generator": {"per_kwh": 300}}

`pulses.utility` makes the board an add-on of a legacy meter: its pulses are all that is measured,
`start_wh` what its display showed, once. A generator's pulses are production on a channel of its
own, 1-1:2.8.0. Registers that a chip cannot measure are absent. A chip that does not answer has no
values: readings are flagged *data not valid* and *error* until it is back, and energy that it
counted meanwhile comes then, exact but too late for a demand. Neighbours: `chips`, `calibration`,
`front_end`, `hal`; `measuring` ticks it.
"""

import registers as obis
from calibration import Calibration
from chips.pulses import KWH_MJ, PulseTrain
from config import ConfigError, _table, _whole
from counter import Counter
from exact import Exact
from front_end import FrontEnd
from meter_state import FRONT_END_FIELDS, decode_state, encode_state
from meter_wire.portable.entry import STATUS_DATA_NOT_VALID, STATUS_ERROR

REGISTERS_OF = {
    "frequency": (obis.FREQUENCY,),
    "reactive": (obis.REACTIVE_IMPORT, obis.REACTIVE_EXPORT),
    "rms": (
        obis.electricity(obis.CURRENT[0], 7),
        obis.electricity(obis.VOLTAGE[0], 7),
        obis.POWER_FACTOR,
    ),
    "direction": (obis.EXPORT_POWER, obis.NET_POWER)
    + tuple([obis.electricity(2, 8, rate) for rate in range(5)]),
}
"""What a chip may lack, and the registers that the meter then has not."""
CIRCUITS = {
    "bl0942": (1000, [1950510, 510]),
    "hlw8012": (1000, [2821000, 1000]),
    "bl0937": (1000, [1981000, 1000]),
}
"""Chip → shunt in µΩ and divider in Ω, as in the typical applications of the data sheets.

5 · 390 kΩ and 510 Ω, 6 · 470 kΩ and 1 kΩ (HLW8012, 3.1), 6 · 330 kΩ and 1 kΩ. Products save
resistors: give `circuit` (the Sonoff POW has 5 · 470 kΩ).
"""


class ChipFrontEnd(FrontEnd):
    """A driver as a single-phase front end."""

    apparent_of_rms = True

    def __init__(
        self, driver, generator=None, starts_wh=(None, None), powered_up: bool = False
    ) -> None:
        """Join the parts.

        Args:
            driver: see `chips`.
            generator: `PulseTrain` of a generator, None without.
            starts_wh: what the registers of import and of the generator are to begin with; None
                where another meter's display does not matter.
            powered_up: the chip began together with the processor.
        """
        self.driver = driver
        self.generator = generator
        self._production = Counter()
        self.production = None if generator is None else self._production
        self._starts_wh = starts_wh
        self._begun_wh = [0, 0]
        self._powered_up = powered_up
        self._was_silent = False
        self._polled_ms = 0
        """Of the tick that began, what the driver has counted; 0 as soon as it is handed out."""
        absent = ()
        for what, codes in REGISTERS_OF.items():
            if what not in driver.measures:
                absent += codes
        self.absent = absent

    def tick(self, tick_ms: int) -> tuple:
        """Poll the chip; return (frequency mHz, [(P W, Q var, U mV, I mA)]), None where unknown.

        After a MemoryError the same tick, perhaps a longer one, is asked for again.
        """
        driver, generator = self.driver, self.generator
        if tick_ms <= 0:
            return driver.sample[0], [driver.sample[1:]]
        if not self._polled_ms:
            self._was_silent = driver.silent
        if self._polled_ms < tick_ms:
            driver.poll(tick_ms - self._polled_ms)
            self._polled_ms = tick_ms
        energy_mj = driver.energy_mj
        production_mj = 0
        if generator is not None:
            generator.poll(tick_ms)
            production_mj = generator.energy_mj
        energies_mj = (max(energy_mj, 0), max(-energy_mj, 0), production_mj)
        exact = Exact(energies_mj, tick_ms, driver.late)
        faulty = self._was_silent or driver.silent or driver.lost
        sample = driver.sample[0], [driver.sample[1:]]
        # From here on nothing needs memory: the energy changes hands.
        self.exact = exact
        self.faults = STATUS_DATA_NOT_VALID | STATUS_ERROR if faulty else 0
        driver.energy_mj = self._polled_ms = 0
        driver.lost = driver.late = False
        if generator is not None:
            generator.energy_mj = 0
        return sample

    def save(self) -> bytes:
        """Return start values, production, the chip's own counter and the remainders of pulses."""
        driver, production = self.driver, self._production
        energy = getattr(driver, "energy", None)
        state = {
            "utility_start_wh": self._begun_wh[0],
            "generator_start_wh": self._begun_wh[1],
            "production_wh": production.units,
            "production_rest": production.remainder,
            "energy_rest": 0 if energy is None else energy.remainder,
            "energy_per": 0 if energy is None else energy.per,
            "generator_rest": 0 if self.generator is None else self.generator.energy.remainder,
            "generator_per": 0 if self.generator is None else self.generator.energy.per,
            "chip_count": 0 if driver.count is None else driver.count + 1,
        }
        return encode_state(state, FRONT_END_FIELDS)

    def restore(self, kept: bytes) -> int:
        """Go on from what `save` gave.

        Raises:
            StateError: it is damaged.
            ConfigError: a start value below the one that counts already.
        """
        state: dict[str, int] = dict([(name, 0) for name in FRONT_END_FIELDS])
        if kept:
            state = decode_state(kept, FRONT_END_FIELDS)
        begin_wh = [0, 0]
        for index, name in enumerate(("utility", "generator")):
            begun_wh = state[name + "_start_wh"]
            start_wh = self._starts_wh[index]
            self._begun_wh[index] = begun_wh if start_wh is None else start_wh
            begin_wh[index] = self._begun_wh[index] - begun_wh
            if begin_wh[index] < 0:
                raise ConfigError(
                    "pulses.%s.start_wh: %d is below the %d that counts already, and no register "
                    "goes back; give that or more" % (name, start_wh, begun_wh)
                )
        self._production.units = state["production_wh"] + begin_wh[1]
        self._production.remainder = state["production_rest"]
        for name, part in (("energy", self.driver), ("generator", self.generator)):
            energy = getattr(part, "energy", None)
            if energy is not None and energy.per == state[name + "_per"]:
                energy.remainder = state[name + "_rest"]
        count = state["chip_count"]
        if count:
            self.driver.resume(count - 1)
        elif self._powered_up:
            self.driver.resume(None)
        return begin_wh[0]


def _circuit(board: dict) -> tuple:
    """Return (shunt in µΩ, [whole, lower part] in Ω, address).

    Raises:
        ConfigError: naming the field.
    """
    shunt_uohm, divider_ohm = CIRCUITS[board["chip"]]
    table = _table(board, "circuit") or {}
    where = "circuit."
    divider_ohm = table.get("divider_ohm", divider_ohm)
    if not isinstance(divider_ohm, list) or len(divider_ohm) != 2:
        raise ConfigError("circuit.divider_ohm: is no pair; give [whole, lower part]")
    row = {"whole": divider_ohm[0], "lower": divider_ohm[1]}
    whole = _whole(row, "whole", 1, 100000000, None, "circuit.divider_ohm.")
    lower = _whole(row, "lower", 1, whole, None, "circuit.divider_ohm.")
    return (
        _whole(table, "shunt_uohm", 1, 100000000, shunt_uohm, where),
        [whole, lower],
        _whole(table, "address", 0, 3, 0, where),
    )


def _bl0942(board: dict, calibration: Calibration, hal):
    from chips.bl0942 import Bl0942, circuit  # noqa: PLC0415

    shunt_uohm, divider_ohm, address = _circuit(board)
    parts = circuit(shunt_uohm, divider_ohm)
    scales = {
        "voltage": calibration.scale("voltage", *parts["voltage"]),
        "current": calibration.scale("current", *parts["current"]),
        "active_power": calibration.scale("active_power", *parts["active_power"]).times(1, 1000),
        "frequency": calibration.scale("frequency", 1, 1),
    }
    return Bl0942(hal.uart("chip"), scales, calibration.pulse_mj(*parts["energy"]), address)


def _hlw8012(board: dict, calibration: Calibration, hal):
    from chips.hlw8012 import Hlw8012, circuit  # noqa: PLC0415

    shunt_uohm, divider_ohm, _address = _circuit(board)
    parts = circuit(board["chip"], shunt_uohm, divider_ohm)
    scales = {
        "voltage": calibration.scale("voltage", *parts["voltage"]),
        "current": calibration.scale("current", *parts["current"]),
    }
    energy = calibration.pulse_mj(*parts["energy"])
    return Hlw8012(hal.counter("cf"), hal.counter("cf1"), hal.output("sel"), scales, energy)


def _waveform(board: dict, calibration: Calibration, hal):
    from chips.waveform import FINE, Sampled  # noqa: PLC0415

    if not hasattr(hal, "sampler"):
        raise ConfigError("chip: this board samples no waveform; choose another")
    table = _table(board, "circuit") or {}
    uv = _whole(table, "uv_per_step", 1, 100000000, None, "circuit.")
    ua = _whole(table, "ua_per_step", 1, 100000000, None, "circuit.")
    square = FINE * FINE * 1000000000
    scales = {
        "voltage": calibration.scale("voltage", uv, FINE * 1000),
        "current": calibration.scale("current", ua, FINE * 1000),
        "active_power": calibration.scale("active_power", uv * ua, square),
        "reactive_power": calibration.scale("reactive_power", uv * ua, square),
        "frequency": calibration.scale("frequency", 1, 1),
    }
    return Sampled(hal.sampler("chip"), scales)


_BUILDERS = {
    "bl0942": _bl0942,
    "hlw8012": _hlw8012,
    "bl0937": _hlw8012,
    "waveform": _waveform,
}


def _source(board: dict, pulses: dict, name: str) -> tuple:
    """Return (pulses of a kWh or None without that input, start value in Wh).

    Raises:
        ConfigError: naming the field.
    """
    table = _table(pulses, name)
    declared = (board.get("pulses_per_kwh") or {}).get(name)
    if table is None and declared is None:
        return None, None
    where = "pulses.%s." % name
    table = table or {}
    per_kwh = _whole(table, "per_kwh", 1, 100000, declared, where)
    return per_kwh, _whole(table, "start_wh", 0, 1000000000000, 0, where)


def build_front_end(board: dict, config: dict, hal) -> ChipFrontEnd:
    """Return the front end of a board's declaration.

    Args:
        board: the declaration (see the module's docstring).
        config: `meter.json`, of which `calibration` and `pulses` are read.
        hal: the open board: uart, counter, output, reset_cause.

    Raises:
        ConfigError: naming the field.
    """
    calibration = Calibration(_table(config, "calibration"))
    pulses = _table(config, "pulses") or {}
    for name in pulses:
        if name not in ("utility", "generator"):
            raise ConfigError("pulses.%s: is unknown; give utility or generator" % (name,))
    chip = board.get("chip")
    start_wh = None
    if chip == "pulses" or pulses.get("utility") is not None:
        per_kwh, start_wh = _source(board, pulses, "utility")
        if per_kwh is None:
            raise ConfigError('pulses.utility: is missing; give {"per_kwh": …}')
        worth = calibration.pulse_mj(KWH_MJ, per_kwh, own_gain=False)
        driver = PulseTrain(hal.counter("utility_pulse"), *worth)
    elif chip in _BUILDERS:
        driver = _BUILDERS[chip](board, calibration, hal)
    else:
        raise ConfigError("chip: %r is no chip of this firmware; choose another board" % (chip,))
    per_kwh, generator_start_wh = _source(board, pulses, "generator")
    generator = None
    if per_kwh is not None:
        generator = PulseTrain(hal.counter("generator_pulse"), KWH_MJ, per_kwh)
    starts_wh = (start_wh, generator_start_wh)
    return ChipFrontEnd(driver, generator, starts_wh, hal.reset_cause() == "power")
