"""Run a simulated home: hear its twin, do what that means, say so.

python -m home_ems --device house-1 --mqtt metertwin-mosquitto.street.svc --user Reader.home-1 \
    --certificates DIR
python -m home_ems --device house-1 --host house-1.metertwin-twins.street.svc --certificates DIR
"""

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from .control import BATTERY, Doing, decide
from .devices import Battery, Car, HeatPump, Home
from .plan import Plan
from .twin_client import TwinClient

PERIOD_S = 60
BROKER_PORT = 8883


class Twin(Protocol):
    """What speaks for the meter, whichever way it is reached."""

    def exchange(self, state: dict[str, Any], seconds: float) -> Plan:
        """Tell what the home has and does; return the plan some seconds later."""

    def close(self) -> None:
        """End it."""


def describe(home: Home, doing: Doing) -> dict[str, Any]:
    """Return the state that the twin is told."""
    battery, car = home.battery, home.car
    return {
        "devices": [
            {
                "id": BATTERY,
                "kind": "battery",
                "watts": round(battery.watts),
                "chargePercent": round(100 * battery.charge_wh / battery.capacity_wh),
            },
            {
                "id": "car",
                "kind": "ev",
                "watts": round(car.watts),
                "chargePercent": min(round(100 * car.charge_wh / car.wanted_wh), 100),
                "connected": car.is_connected,
            },
            {"id": "heat-pump", "kind": "heatPump", "watts": round(home.heat_pump.watts)},
        ],
        "reaction": doing.reason,
    }


def narrate(home: Home, doing: Doing) -> str:
    """Return a line for the log: what is done and why, without the home's figures."""
    battery_w, car, heat_pump = home.battery.watts, home.car, home.heat_pump
    battery = "gives" if battery_w < 0 else "takes" if battery_w > 0 else "rests"
    heats = "does less" if heat_pump.watts < heat_pump.power_w else "heats"
    car_does = "charges" if car.watts else "waits"
    why = doing.reason.partition(":")[0]
    return f"{why}: the battery {battery}, the car {car_does}, the heat pump {heats}"


def step(home: Home, plan: Plan, now_s: float, seconds: float) -> Doing:
    """Decide, and let time pass."""
    doing = decide(home, plan, now_s)
    home.battery.step(doing.battery_w, seconds)
    home.car.step(is_charging=doing.is_car_charging, seconds=seconds)
    home.heat_pump.step(is_reduced=doing.is_heat_reduced, seconds=seconds)
    return doing


def build_twin(given: argparse.Namespace) -> Twin:
    """Return the way to the twin; the client of the broker is loaded only for that way."""
    if not given.mqtt:
        return TwinClient(given.device, given.host, given.port, given.certificates)
    from .twin_line import TwinLine  # noqa: PLC0415

    host, _, port = given.mqtt.partition(":")
    place = host, int(port or BROKER_PORT)
    return TwinLine(given.device, given.user, *place, given.certificates)


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(
        prog="home-ems", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", required=True, help="the meter's device id")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--mqtt", metavar="HOST:PORT", help="the broker")
    way.add_argument("--host", help="where its twin is, for HTTPS")
    parser.add_argument("--port", type=int, default=8443, help="of the twin")
    parser.add_argument("--user", help="for the broker: the common name of the certificate")
    parser.add_argument("--certificates", type=Path, required=True, help="ca.crt, tls.crt, tls.key")
    parser.add_argument("--period", type=float, default=PERIOD_S, help="seconds between two looks")
    return parser


def run(home: Home, twin: Twin, period_s: float) -> None:
    """Live until interrupted."""
    plan, before_s = Plan(), time.time() - period_s
    while True:
        now_s = time.time()
        doing = step(home, plan, now_s, max(now_s - before_s, 1.0))
        before_s = now_s
        sys.stdout.write(f"{narrate(home, doing)}\n")
        sys.stdout.flush()
        plan = twin.exchange(describe(home, doing), period_s)


def main() -> int:
    """Run until interrupted; 0 then."""
    parser = build_parser()
    given = parser.parse_args()
    if given.mqtt and not given.user:
        parser.error("--mqtt needs --user")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    twin = build_twin(given)
    home = Home(Battery(), Car(leaves_s=time.time() + 8 * 3600), HeatPump())
    try:
        run(home, twin, given.period)
    except KeyboardInterrupt:
        return 0
    finally:
        twin.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
