"""The electricity of a simulated meter (unix port only): real quarter hours, lively seconds.

`Electricity.tick(tick_ms)` gives the sample that `metering.Meter.tick` takes. The energy of each
quarter hour is the measured one; what rounding to watts leaves is carried to the next tick.
Configuration of one meter (JSON object):

    profile, annual_kwh      measured household profile and its scale
    pv_profile, pv_kwp       rooftop plant, optional
    phases, line             1 (and on which line of the feeder, 1 to 3) or 3
    seed                     of everything random
    shift_days               reads the profile so many days later (a second house from one source)
    power_factor_percent     of the load, default 95
    start_at                 position in the profile's year, "2016-06-14T07:30:00Z"
    anchor                   UTC at which the position is `start_at`; default: the boot
    disturbances             [{kind, at_s, duration_ms, phase, percent}, …] after boot

or {street: {start_at, anchor, households: {name: configuration}, feeder: {phases}, wire}, name},
where a neighbour's load moves the voltage; without `name` it is the feeder's meter: the sum.
`wire` ({host, port}, optional) tells it what the houses have connected: see `simulation.wire`.
"""

from front_end import FrontEnd
from isqrt import isqrt
from simulation.grid import frequency_mhz, neighbours_w, voltage_mv
from simulation.household import STEP_MS, Household, whole
from simulation.profile import STEP_S
from simulation.utc_text import parse_utc
from simulation.waveform import Waveform


def position_at(config: dict[str, object], boot_s: int, origin_s: int) -> int:
    """Return the position at boot in seconds after the profile's first quarter hour.

    Only the position shifts, by whole quarter hours: the intervals of the true UTC clock and of
    the profile coincide.

    Raises:
        ValueError: `start_at` or `anchor` is wrong.
    """
    anchor_s = boot_s
    if "anchor" in config:
        anchor_s = parse_utc(config["anchor"], "anchor")
    start_s = anchor_s
    if "start_at" in config:
        start_s = parse_utc(config["start_at"], "start_at")
    return start_s // STEP_S * STEP_S - anchor_s // STEP_S * STEP_S + boot_s - origin_s


class Electricity(FrontEnd):
    """What the meter's measuring front end sees; time is the sum of the ticks."""

    def __init__(
        self,
        config: dict[str, object],
        profiles: str,
        boot_s: int,
        *,
        boot_ms: int = 0,
        neighbours: list[Household] | None = None,
        members: list[Household] | None = None,
        speed: int = 1,
    ) -> None:
        """Connect a meter.

        Args:
            config: as in the module's docstring.
            profiles: folder of the profile files.
            boot_s: true UTC second at the first tick's begin.
            boot_ms: its milliseconds.
            neighbours: households on the same feeder, whose load moves the voltage.
            members: the households that a feeder's meter sums; None for a household.
            speed: seconds of profile in a second (tests); power stays, energy divides by it.

        Raises:
            ValueError: naming the field of `config`.
        """
        self.busbar = members is not None
        self.members = [Household(config, profiles)] if members is None else members
        self.neighbours = neighbours or []
        first = self.members[0]
        self.phases = whole(config, "phases", "feeder", 1, 3, 3) if self.busbar else first.phases
        self.position_ms = position_at(config, boot_s, first.load.profile.origin_s) * 1000 + boot_ms
        self.speed = speed
        self.wire: object = None
        self.waveform = Waveform(self.phases)
        self._schedule(config)
        self._energy_carry = [0] * self.phases
        self._reactive_carry = [0] * self.phases
        self._others_at = -1
        self._others_w = [0, 0, 0]
        self._sample: tuple[int, list[tuple[int, int, int, int]]] = (50000, [])

    def _schedule(self, config: dict[str, object]) -> None:
        rows = config.get("disturbances", [])
        if not isinstance(rows, list):
            raise ValueError("disturbances: must be a list")
        for number, row in enumerate(rows):
            field = f"disturbances[{number}]"
            percent = whole(row, "percent", field, 0, 200, 0) if "percent" in row else None
            try:
                self.waveform.inject(
                    row.get("kind"),
                    whole(row, "duration_ms", field, 1, 86400000, None),
                    whole(row, "phase", field, 0, self.phases, 0),
                    percent,
                    whole(row, "at_s", field, 0, 31622400, None) * 1000,
                )
            except ValueError as fault:
                text = str(fault)
                raise ValueError(text if text.startswith(field) else f"{field}.{text}") from None

    def edge_ms(self) -> int:
        """Return the ms until the source's next quarter hour: power may jump there.

        A tick has one mean power, so one that straddles the edge would move energy from one
        quarter hour into the other; whoever ticks splits there.
        """
        return (STEP_MS - self.position_ms % STEP_MS) // self.speed

    def tick(self, tick_ms: int) -> tuple[int, list[tuple[int, int, int, int]]]:
        """Let `tick_ms` pass; return (frequency mHz, [(P W, Q var, U mV, I mA) per phase])."""
        if tick_ms <= 0:
            return self._sample
        begin_ms = self.position_ms
        self.position_ms += tick_ms * self.speed
        load, plant, reactive = self._energies(begin_ms, self.position_ms)
        duration = tick_ms * self.speed
        net_w = [(used - made) // duration for used, made in zip(load, plant)]
        frequency = frequency_mhz(self.position_ms)
        voltages = self.waveform.advance(tick_ms, self._voltages(net_w), frequency)
        phases = []
        for phase in range(self.phases):
            share = self.waveform.alive_permille[phase] if self.supply else 0
            energy = (load[phase] - plant[phase]) * share // 1000
            power_w = _emit(self._energy_carry, phase, energy, duration)
            reactive_var = _emit(
                self._reactive_carry, phase, reactive[phase] * share // 1000, duration * 1000
            )
            apparent_mva = isqrt((power_w * power_w + reactive_var * reactive_var) * 1000000)
            voltage = voltages[phase]
            current_ma = apparent_mva * 1000 // voltage if voltage > 1000 else 0
            phases.append((power_w, reactive_var, voltage, current_ma))
        self._sample = (frequency, phases)
        return self._sample

    def _energies(self, begin_ms: int, end_ms: int) -> tuple[list[int], list[int], list[int]]:
        """Return load and plant in mJ and load's reactive energy in µvar·s, on each phase."""
        load = [0] * self.phases
        plant = [0] * self.phases
        reactive = [0] * self.phases
        for house in self.members:
            used, made = house.between(begin_ms, end_ms)
            for number in range(house.phases):
                on_line = self.busbar and self.phases == 3 and house.phases == 1
                phase = house.line - 1 if on_line else number % self.phases
                if not house.is_supplied:
                    continue
                energy = used[number] * self.load_permille // 1000
                energy = energy * house.connected_permille // 1000
                load[phase] += energy
                plant[phase] += made[number]
                reactive[phase] += energy * house.reactive_permille
        return load, plant, reactive

    def _voltages(self, net_w: list[int]) -> list[int]:
        at = self.position_ms // 10000
        if self.neighbours and at != self._others_at:
            self._others_at = at
            self._others_w = neighbours_w(self.neighbours, self.position_ms)
        voltages = []
        for phase in range(self.phases):
            line = phase if self.phases == 3 else self.members[0].line - 1
            others_w = self._others_w[line]
            own_w = net_w[phase] if self.supply else 0
            voltages.append(voltage_mv(self.position_ms, line, own_w, others_w, busbar=self.busbar))
        return voltages

    def source_energy_mj(self, position_ms: int) -> tuple[int, int]:
        """Return (load, plant) of the source for the quarter hour at a position (the oracle)."""
        quarter = position_ms // STEP_MS
        load = sum([house.load.energy_mj(quarter) for house in self.members])
        plants = [house.plant for house in self.members if house.plant]
        return load, sum([plant.energy_mj(quarter) for plant in plants])


def _emit(carry: list[int], phase: int, energy: int, divisor: int) -> int:
    """Return whole units of power for `energy` over `divisor`; carry the rest."""
    total = carry[phase] + energy
    power = (total + divisor // 2) // divisor
    carry[phase] = total - power * divisor
    return power


def street_electricity(
    street: dict[str, object], name: str | None, profiles: str, boot_s: int, boot_ms: int = 0
) -> Electricity:
    """Return the electricity of one meter of a street.

    Args:
        street: {"start_at", "anchor", "households": {name: configuration}, "feeder": {…}}.
        name: of the household, None for the feeder's meter, which measures their sum.
        profiles: folder of the profile files.
        boot_s: true UTC second of the boot.
        boot_ms: its milliseconds.

    Raises:
        ValueError: naming the field.
    """
    houses = street.get("households")
    if not isinstance(houses, dict) or not houses:
        raise ValueError("households: must be an object of household configurations")
    if name is not None and name not in houses:
        raise ValueError(f"households: no {name} in this street")
    own = street.get("feeder", {}) if name is None else houses[name]
    config: dict[str, object] = {}
    for key in ("start_at", "anchor"):
        if key in street:
            config[key] = street[key]
    config.update(own if isinstance(own, dict) else {})
    others = [
        Household(house, profiles, f"households.{key}")
        for key, house in sorted(houses.items())
        if key != name
    ]
    if name is None:
        made = Electricity(config, profiles, boot_s, boot_ms=boot_ms, members=others)
    else:
        made = Electricity(config, profiles, boot_s, boot_ms=boot_ms, neighbours=others)
    if "wire" in street:
        members = dict(zip(sorted(houses), others)) if name is None else None
        made.wire = build_wire(street["wire"], name, members)
    return made


def build_wire(row: object, name: str | None, members: dict[str, Household] | None) -> object:
    """Return this meter's end of the street's wire.

    Raises:
        ValueError: naming the field.
    """
    from simulation.wire import FeederWire, HouseWire  # noqa: PLC0415

    if not isinstance(row, dict) or not isinstance(row.get("host"), str):
        raise ValueError("wire.host: must be the name by which the feeder's meter is reached")
    port = whole(row, "port", "wire", 1, 65535, None)
    if name is None:
        return FeederWire(port, members or {})
    return HouseWire(name, row["host"], port)


def load_electricity(
    config: dict[str, object], profiles: str, boot_s: int, boot_ms: int = 0
) -> Electricity:
    """Return the electricity that a meter's configuration describes (see the module's docstring).

    Raises:
        ValueError: naming the field.
    """
    if "street" not in config:
        return Electricity(config, profiles, boot_s, boot_ms=boot_ms)
    street = config["street"]
    if not isinstance(street, dict):
        raise ValueError("street: must be an object")
    name = config.get("name")
    if name is not None and not isinstance(name, str):
        raise ValueError("name: must be a household of the street")
    return street_electricity(street, name, profiles, boot_s, boot_ms)
