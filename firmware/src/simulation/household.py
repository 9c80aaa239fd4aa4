"""One household: a measured load profile and perhaps a rooftop plant, with their energies."""

from simulation.curves import Curve, load_curve, solar_curve
from simulation.profile import STEP_S, Profile

STEP_MS = STEP_S * 1000
SINGLE_PHASE_KWP_LIMIT = 4600
"""Plants up to 4.6 kW feed in on one phase (VDE-AR-N 4105, 4.6 kVA of unbalance)."""


class Component:
    """A load or a plant: energy between any two instants, taken from its curves."""

    def __init__(self, profile: Profile, scale: tuple[int, int], seed: int, phases: int) -> None:
        """Attach a scale to a profile.

        Args:
            profile: the measured quarter hours.
            scale: (numerator, denominator) from profile value to mJ of the quarter hour.
            seed: of the household.
            phases: 1 or 3.
        """
        self.profile = profile
        self.scale = scale
        self.seed = seed
        self.phases = phases
        self.shape = load_curve
        self.shift_quarters = 0
        self._curves: dict[int, Curve] = {}

    def energy_mj(self, quarter: int) -> int:
        """Return the source's energy of a quarter hour: the figure everything else must keep."""
        value = self.profile.value(quarter + self.shift_quarters)
        return max(0, value) * self.scale[0] // self.scale[1]

    def curve(self, quarter: int) -> Curve:
        """Return the curve of a quarter hour (the last two are kept)."""
        if quarter not in self._curves:
            if len(self._curves) > 1:
                self._curves.clear()
            energy_mj = self.energy_mj(quarter)
            self._curves[quarter] = self.shape(self.seed, quarter, energy_mj, self.phases)
        return self._curves[quarter]

    def between(self, begin_ms: int, end_ms: int) -> list[int]:
        """Return the mJ of each phase between two positions in the profile."""
        quarter, within_ms = divmod(begin_ms, STEP_MS)
        energies = [-energy for energy in self.curve(quarter).until(within_ms)]
        last, within_ms = divmod(end_ms, STEP_MS)
        while quarter < last:
            for phase, energy in enumerate(self.curve(quarter).until(STEP_MS)):
                energies[phase] += energy
            quarter += 1
        for phase, energy in enumerate(self.curve(last).until(within_ms)):
            energies[phase] += energy
        return energies

    def mean_mw(self, position_ms: int) -> int:
        """Return the power joined by straight lines between quarter hours, all phases together."""
        quarter, within_ms = divmod(position_ms, STEP_MS)
        here = self.energy_mj(quarter) // STEP_S
        there = self.energy_mj(quarter + 1) // STEP_S
        return here + (there - here) * within_ms // STEP_MS


class Household:
    """Load minus plant of one metering point."""

    def __init__(self, config: dict[str, object], profiles: str, field: str = "household") -> None:
        """Read the configuration; the keys are described in `electricity`.

        Raises:
            ValueError: naming the field.
        """
        self.phases = whole(config, "phases", field, 1, 3, 1)
        if self.phases == 2:
            raise ValueError(f"{field}.phases: must be 1 or 3")
        self.line = whole(config, "line", field, 1, 3, 1)
        seed = whole(config, "seed", field, 0, 0xFFFFFFFF, 1)
        annual_wh = whole(config, "annual_kwh", field, 1, 1000000, None) * 1000
        profile = load_profile(config, "profile", field, profiles)
        self.load = Component(profile, (annual_wh * 3600000, profile.total), seed, self.phases)
        self.load.shift_quarters = whole(config, "shift_days", field, 0, 366, 0) * 96
        power_factor = whole(config, "power_factor_percent", field, 50, 100, 95)
        self.reactive_permille = tangent_permille(power_factor)
        self.connected_permille = 1000
        self.is_supplied = True
        """What its own meter has connected, as the feeder's meter sees it."""
        self.plant: Component | None = None
        if "pv_profile" in config:
            peak_w = watts(config, "pv_kwp", field)
            phases = self.phases if peak_w > SINGLE_PHASE_KWP_LIMIT else 1
            scale = (peak_w * STEP_MS, 1000000)
            profile = load_profile(config, "pv_profile", field, profiles)
            self.plant = Component(profile, scale, seed, phases)
            self.plant.shape = solar_curve

    def between(self, begin_ms: int, end_ms: int) -> tuple[list[int], list[int]]:
        """Return (load, plant) in mJ per phase between two positions in the profile."""
        load = self.load.between(begin_ms, end_ms)
        plant = self.plant.between(begin_ms, end_ms) if self.plant else []
        return load, plant + [0] * (self.phases - len(plant))

    def mean_mw(self, position_ms: int) -> int:
        """Return the smooth net power, negative when exporting."""
        plant_mw = self.plant.mean_mw(position_ms) if self.plant else 0
        return self.load.mean_mw(position_ms) - plant_mw


def whole(
    config: dict[str, object], key: str, field: str, low: int, high: int, default: int | None
) -> int:
    """Return an integer of the configuration within bounds.

    Raises:
        ValueError: missing without a default, not an integer, or out of bounds.
    """
    value = config.get(key, default)
    if not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{field}.{key}: must be a whole number from {low} to {high}")
    return value


def watts(config: dict[str, object], key: str, field: str) -> int:
    """Return a number of kilowatts in watts.

    Raises:
        ValueError: not a positive number.
    """
    value = config.get(key)
    if not isinstance(value, (int, float)) or not 0 < value <= 1000:
        raise ValueError(f"{field}.{key}: must be a number of kW above 0")
    return int(value * 1000 + 0.5)


def load_profile(config: dict[str, object], key: str, field: str, folder: str) -> Profile:
    """Open the named profile.

    Raises:
        ValueError: missing name or file.
    """
    name = config.get(key)
    if not isinstance(name, str) or "/" in name:
        raise ValueError(f"{field}.{key}: must be the name of a profile")
    try:
        return Profile(f"{folder}/{name}.bin")
    except OSError:
        raise ValueError(f"{field}.{key}: no profile {name} in {folder}") from None


def tangent_permille(percent: int) -> int:
    """Return tan(phi) in thousandths for cos(phi) in percent."""
    return int((10000 - percent * percent) ** 0.5 * 1000 / percent)
