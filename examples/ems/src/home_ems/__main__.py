"""Run a simulated home: ask its twin once a minute, do what that means, say so.

python -m home_ems --device house-1 --host house-1.metertwin-twins.street.svc --certificates DIR
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from .control import Doing, decide
from .devices import Battery, Car, HeatPump, Home
from .plan import Plan
from .twin_client import TwinClient, TwinError

PERIOD_S = 60


def describe(home: Home, doing: Doing) -> dict[str, Any]:
    """Return the state that the twin is told."""
    battery, car = home.battery, home.car
    return {
        "devices": [
            {
                "id": "battery",
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


def step(home: Home, plan: Plan, now_s: float, seconds: float) -> Doing:
    """Decide, and let time pass."""
    doing = decide(home, plan, now_s)
    home.battery.step(doing.battery_w, seconds)
    home.car.step(is_charging=doing.is_car_charging, seconds=seconds)
    home.heat_pump.step(is_reduced=doing.is_heat_reduced, seconds=seconds)
    return doing


def main() -> int:
    """Run until interrupted; 0 then."""
    parser = argparse.ArgumentParser(
        prog="home-ems", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", required=True, help="the meter's device id")
    parser.add_argument("--host", required=True, help="where its twin is")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--certificates", type=Path, required=True, help="ca.crt, tls.crt, tls.key")
    parser.add_argument("--period", type=float, default=PERIOD_S, help="seconds between two looks")
    given = parser.parse_args()
    client = TwinClient(given.device, given.host, given.port, given.certificates)
    home = Home(Battery(), Car(leaves_s=time.time() + 8 * 3600), HeatPump())
    plan = Plan()
    try:
        while True:
            doing = step(home, plan, time.time(), given.period)
            sys.stdout.write(f"{home.watts:6.0f} W: {doing.reason}\n")
            sys.stdout.flush()
            try:
                plan = client.tell(describe(home, doing))
            except TwinError as error:
                sys.stderr.write(f"the twin says nothing, the last plan holds: {error}\n")
            time.sleep(given.period)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
