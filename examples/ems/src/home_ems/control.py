"""What a home does with what it is told: charge when it is cheap, draw little in a peak. Pure.

- The car charges in the cheapest time before it leaves, and at once when there is none to spare.
- In a peak (a limit) it waits as long as it can, the heat pump does less while the room is warm,
  and the battery gives what is above the limit.
- Without a limit the battery follows the price: the cheapest third of what is known charges it, the
  dearest third takes from it.
- A charge that is asked for fills the battery up to it, and keeps it there.
- A power that is asked for, of all devices together or of the battery, the battery brings about.
- What the whole house may draw or give is above all of that: the battery makes up for it, then the
  car and the heat pump do less, unless the car has to go or the room is cold.
- Without a plan, or with one whose time is over, the home does what it did before there was any.
"""

from collections.abc import Sequence
from typing import NamedTuple

from .devices import Home
from .plan import Plan, Price

BATTERY = "battery"
"""The battery's name in `spec.utility.resources` and in the state."""
SLOT_S = 900
MARGIN_S = 900
"""A car that has no more time to spare than this charges, whatever it costs."""


class Doing(NamedTuple):
    """What the devices are to do now, and why, for people."""

    battery_w: float
    is_car_charging: bool
    is_heat_reduced: bool
    reason: str


def decide(home: Home, plan: Plan, now_s: float) -> Doing:
    """Return what to do.

    Args:
        home: as it is.
        plan: the last one that came.
        now_s: UTC seconds.
    """
    plan = plan.at(now_s)
    is_urgent = _is_urgent(home, now_s)
    limit, dispatch = plan.limit, plan.dispatch
    if dispatch and not dispatch.is_relative and limit and dispatch.watts <= limit.watts:
        limit = None  # who comes to that power keeps the limit: a twin tells it as both
    if limit is not None:
        kept = _keep_limit(home, limit.watts, is_urgent=is_urgent)
        asked = _follow_power(home, plan, kept)
        doing = asked if asked.battery_w < kept.battery_w else kept
    else:
        doing = _keep_charge(home, plan, _follow_price(home, plan, now_s, is_urgent=is_urgent))
        doing = _follow_power(home, plan, doing)
    return _keep_house(home, plan, doing, is_urgent=is_urgent)


def _follow_price(home: Home, plan: Plan, now_s: float, *, is_urgent: bool) -> Doing:
    charges = is_urgent or _is_time_to_charge(home, plan, now_s)
    tendency = find_tendency(plan, now_s)
    battery_w = {1: home.battery.power_w, 0: 0.0, -1: -home.battery.power_w}[tendency]
    words = {1: "energy is cheap", 0: "nothing is asked", -1: "energy is dear"}[tendency]
    return Doing(battery_w, charges, tendency < 0, words)


def _keep_charge(home: Home, plan: Plan, doing: Doing) -> Doing:
    """Fill the battery up to the charge that is asked for, and take nothing below it."""
    if plan.charge is None:
        return doing
    battery = home.battery
    words = f"the battery is wanted at {plan.charge.percent} %"
    if 100 * battery.charge_wh < plan.charge.percent * battery.capacity_wh:
        return doing._replace(battery_w=battery.power_w, reason=words)
    return doing._replace(battery_w=max(doing.battery_w, 0.0), reason=words)


def _follow_power(home: Home, plan: Plan, doing: Doing) -> Doing:
    """Let the battery bring the devices, or itself, to a power; its own is the stronger word."""
    dispatch, asked = plan.dispatch, plan.find_device(BATTERY)
    if dispatch is not None:
        others_w = 0.0 if dispatch.is_relative else _find_watts(home, doing)
        words = "a power is asked of the house"
        doing = doing._replace(battery_w=doing.battery_w + dispatch.watts - others_w, reason=words)
    if asked is not None:
        before_w = doing.battery_w if asked.is_relative else 0.0
        words = "a power is asked of the battery"
        doing = doing._replace(battery_w=before_w + asked.watts, reason=words)
    most_w = home.battery.power_w
    return doing._replace(battery_w=max(min(doing.battery_w, most_w), -most_w))


def _keep_house(home: Home, plan: Plan, doing: Doing, *, is_urgent: bool) -> Doing:
    """Keep what the whole house may draw from the grid, and give to it."""
    most, least = plan.most_import, plan.most_export
    if most is not None and _find_watts(home, doing) > most.watts:
        steps = [doing]
        if not is_urgent:
            steps.append(doing._replace(is_car_charging=False))
        steps.append(steps[-1]._replace(is_heat_reduced=True))
        tried = [_draw_less(home, one, most.watts) for one in steps]
        kept = (one for one in tried if _find_watts(home, one) <= most.watts)
        words = f"the house may draw no more than {most.watts} W"
        doing = next(kept, tried[-1])._replace(reason=words)
    others_w = _find_watts(home, doing) - doing.battery_w
    if least is not None and others_w + doing.battery_w < -least.watts:
        words = f"the house may give no more than {least.watts} W"
        doing = doing._replace(battery_w=-least.watts - others_w, reason=words)
    return doing


def _draw_less(home: Home, doing: Doing, most_w: float) -> Doing:
    """Let the battery make up for what is above a limit, as far as it can."""
    others_w = _find_watts(home, doing) - doing.battery_w
    battery_w = max(min(doing.battery_w, most_w - others_w), -home.battery.power_w)
    return doing._replace(battery_w=battery_w)


def _find_watts(home: Home, doing: Doing) -> float:
    """Return what the devices draw together when they do that."""
    heat = home.heat_pump
    is_reduced = doing.is_heat_reduced and heat.celsius > heat.least_celsius
    car_w = home.car.power_w if doing.is_car_charging and home.car.is_connected else 0.0
    return doing.battery_w + car_w + (heat.reduced_w if is_reduced else heat.power_w)


def _keep_limit(home: Home, limit_w: float, *, is_urgent: bool) -> Doing:
    heat_w = home.heat_pump.reduced_w
    if home.heat_pump.celsius <= home.heat_pump.least_celsius:
        heat_w = home.heat_pump.power_w
    car_w = home.car.power_w if is_urgent else 0.0
    above_w = heat_w + car_w - limit_w
    battery_w = -min(max(above_w, 0.0), home.battery.power_w)
    return Doing(battery_w, is_urgent, True, f"a peak: no more than {limit_w:.0f} W")


def _is_urgent(home: Home, now_s: float) -> bool:
    car = home.car
    needs_s = car.find_seconds_to_charge()
    return car.is_connected and needs_s > 0 and now_s + needs_s + MARGIN_S >= car.leaves_s


def _is_time_to_charge(home: Home, plan: Plan, now_s: float) -> bool:
    car = home.car
    needs_s = car.find_seconds_to_charge()
    if not car.is_connected or needs_s <= 0:
        return False
    slots = list_slots(plan.prices, now_s, car.leaves_s)
    if not slots:
        return True  # nobody knows what is cheaper
    wanted = -(-needs_s // SLOT_S)
    cheapest = sorted(slots, key=lambda slot: (slot[1], slot[0]))[: int(wanted)]
    return any(start_s <= now_s < start_s + SLOT_S for start_s, _ in cheapest)


def list_slots(prices: Sequence[Price], now_s: float, until_s: float) -> list[tuple[float, float]]:
    """Return (beginning, price) of the quarter hours from now until a moment that have a price."""
    first_s = now_s // SLOT_S * SLOT_S
    count = max(int((until_s - first_s) // SLOT_S), 0)
    found = []
    for number in range(count):
        start_s = first_s + number * SLOT_S
        middle_s = start_s + SLOT_S / 2
        price = next((row.price for row in prices if row.start_s <= middle_s < row.end_s), None)
        if price is not None:
            found.append((start_s, price))
    return found


def find_tendency(plan: Plan, now_s: float) -> int:
    """Return 1 in the cheapest third of the next day's known prices, -1 in the dearest, else 0."""
    now = plan.find_price(now_s)
    day = sorted(price for _, price in list_slots(plan.prices, now_s, now_s + 86_400))
    if now is None or not day or day[0] == day[-1]:
        return 0
    third = max(len(day) // 3, 1)
    if now <= day[third - 1]:
        return 1
    return -1 if now >= day[-third] else 0
