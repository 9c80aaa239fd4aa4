"""What a home has: a battery, a car at a charging point, a heat pump; pure models, stepped in time.

Powers are W, + is consumption; energies Wh; moments UTC seconds.
"""

from dataclasses import dataclass

HOUR_S = 3600


@dataclass
class Battery:
    """Takes and gives at most `power_w`; `charge_wh` is what is in it."""

    capacity_wh: float = 10_000
    power_w: float = 4_000
    charge_wh: float = 5_000
    reserve_wh: float = 1_000
    watts: float = 0.0

    def step(self, wanted_w: float, seconds: float) -> None:
        """Let time pass at a power; what it cannot take or give it does not."""
        most = (self.capacity_wh - self.charge_wh) * HOUR_S / seconds
        least = -max(self.charge_wh - self.reserve_wh, 0) * HOUR_S / seconds
        bounded = min(max(wanted_w, -self.power_w), self.power_w)
        self.watts = min(max(bounded, least), most)
        self.charge_wh += self.watts * seconds / HOUR_S


@dataclass
class Car:
    """Charges with at most `power_w`; it has to have `wanted_wh` when it leaves."""

    wanted_wh: float = 30_000
    charge_wh: float = 10_000
    power_w: float = 7_400
    leaves_s: float = 0.0
    is_connected: bool = True
    watts: float = 0.0

    def find_seconds_to_charge(self) -> float:
        """Return how long it has to charge yet, at its full power."""
        return max(self.wanted_wh - self.charge_wh, 0) * HOUR_S / self.power_w

    def step(self, *, is_charging: bool, seconds: float) -> None:
        """Let time pass."""
        left_w = max(self.wanted_wh - self.charge_wh, 0) * HOUR_S / seconds
        may = is_charging and self.is_connected
        self.watts = min(self.power_w, left_w) if may else 0.0
        self.charge_wh += self.watts * seconds / HOUR_S


@dataclass
class HeatPump:
    """Heats with `power_w`, or `reduced_w`; the room cools by a little when it does less."""

    power_w: float = 2_000
    reduced_w: float = 600
    celsius: float = 21.0
    least_celsius: float = 19.0
    watts: float = 0.0

    def step(self, *, is_reduced: bool, seconds: float) -> None:
        """Let time pass; a room that is too cold is heated whatever is wanted."""
        may = is_reduced and self.celsius > self.least_celsius
        self.watts = self.reduced_w if may else self.power_w
        self.celsius += (-0.4 if may else 0.1) * seconds / HOUR_S
        self.celsius = min(self.celsius, 21.5)


@dataclass
class Home:
    """All of them."""

    battery: Battery
    car: Car
    heat_pump: HeatPump

    @property
    def watts(self) -> float:
        """What they draw together."""
        return self.battery.watts + self.car.watts + self.heat_pump.watts
