"""A home really reacts: to a limit, to prices, to a car that has to leave, and to silence."""

import pytest
from home_ems.__main__ import describe, narrate, step
from home_ems.control import decide, find_tendency
from home_ems.devices import Battery, Car, HeatPump, Home
from home_ems.plan import Charge, Limit, Plan, PlanError, Power, Price, parse_plan
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_781_456_400 // 900 * 900
HOUR = 3600
DOCUMENT = {
    "issued": "2026-06-14T17:00:00Z",
    "valid_until": "2026-06-14T17:10:00Z",
    "limit": {"watts": 1000, "until": "2026-06-14T18:00:00Z", "event": "peak-1"},
    "prices": [
        {
            "start": "2026-06-14T17:00:00Z",
            "end": "2026-06-14T18:00:00Z",
            "price": 0.31,
            "unit": "EUR/kWh",
        }
    ],
    "events": [],
}


def make_home(**car):
    return Home(Battery(), Car(**{"leaves_s": NOW + 12 * HOUR} | car), HeatPump())


def plan(*prices, limit_w=None, each_s=HOUR):
    rows = [Price(NOW + at * each_s, NOW + (at + 1) * each_s, one) for at, one in enumerate(prices)]
    limit = None if limit_w is None else Limit(limit_w, NOW + HOUR)
    return Plan(NOW + 600, limit, tuple(rows))


def run(home, told, seconds=60, times=1, now_s=NOW):
    for at in range(times):
        step(home, told._replace(valid_until_s=now_s + 10**6), now_s + at * seconds, seconds)
    return home


def test_a_plan_is_what_the_twin_answers():
    found = parse_plan(DOCUMENT)
    assert found.limit == Limit(1000, 1_781_460_000.0)
    assert found.find_price(1_781_456_400.0) == 0.31
    assert parse_plan(DOCUMENT | {"limit": None}).limit is None


@pytest.mark.parametrize("junk", [None, [], {}, DOCUMENT | {"limit": 7}, DOCUMENT | {"valid_until": "soon"}])  # fmt: skip
def test_what_is_no_plan_is_refused(junk):
    with pytest.raises(PlanError):
        parse_plan(junk)


def test_in_a_peak_the_home_draws_no_more_than_the_limit():
    home = run(make_home(), plan(limit_w=300))
    assert (home.car.watts, home.heat_pump.watts) == (0, 600)
    assert home.battery.watts == -300
    assert home.watts <= 300


def test_what_the_house_may_draw_and_how_full_it_is_to_be_are_read():
    row = {"watts": 5000, "until": "2026-06-14T18:00:00Z", "event": "e"}
    more = {
        "limits": {"import": row, "export": row | {"until": None}},
        "charge": {"value": 80, "unit": "%", "relative": False, "until": None, "event": "c"},
    }
    found = parse_plan(DOCUMENT | more)
    assert (found.most_import, found.most_export) == (
        Limit(5000, 1_781_460_000.0),
        Limit(5000, None),
    )
    assert found.charge == Charge(80, None)
    assert parse_plan(DOCUMENT | {"charge": more["charge"] | {"unit": "Wh"}}).charge is None
    over = found._replace(valid_until_s=NOW + 10 * HOUR).at(1_781_460_000)
    assert (over.most_import, over.charge) == (None, Charge(80, None))


@pytest.mark.parametrize(
    ("most_w", "battery_w", "car_w", "heat_w"),
    [
        (9400, 0, 7400, 2000),
        (6000, -3400, 7400, 2000),
        (1500, -500, 0, 2000),
        (-3500, -4000, 0, 600),
    ],
)
def test_the_battery_makes_up_for_an_import_limit_then_the_car_waits_then_it_heats_less(
    most_w, battery_w, car_w, heat_w
):
    home = run(make_home(), plan()._replace(most_import=Limit(most_w, None)))
    assert (home.battery.watts, home.car.watts, home.heat_pump.watts) == (battery_w, car_w, heat_w)


def test_a_car_that_has_to_go_charges_whatever_the_house_may_draw():
    home = run(make_home(leaves_s=NOW + HOUR), plan()._replace(most_import=Limit(1000, None)))
    assert home.car.watts == 7400


def test_the_house_gives_no_more_than_it_may():
    dear = plan(0.1, 0.2, 0.9)
    told = dear._replace(
        prices=tuple(one._replace(start_s=one.start_s - 2 * HOUR, end_s=one.end_s - 2 * HOUR) for one in plan(0.1, 0.2, 0.9, 0.1, 0.1).prices),
        most_export=Limit(1000, None),
    )  # fmt: skip
    home = run(make_home(is_connected=False), told)
    assert home.battery.watts == -1600
    assert home.watts == -1000


@pytest.mark.parametrize(("percent", "battery_w"), [(80, 4000), (50, 0), (40, 0)])
def test_a_battery_is_filled_to_the_charge_that_is_asked_for_and_keeps_it(percent, battery_w):
    home = run(make_home(), plan()._replace(charge=Charge(percent, None)))
    assert home.battery.watts == battery_w


@pytest.mark.parametrize(
    ("watts", "is_relative", "battery_w"),
    [(8000, False, -1400), (10_000, False, 600), (0, False, -4000), (500, True, 500)],
)
def test_the_battery_brings_the_house_to_the_power_that_is_asked_for(watts, is_relative, battery_w):
    home = run(make_home(), plan()._replace(dispatch=Power(watts, None, is_relative)))
    assert (home.car.watts, home.heat_pump.watts) == (7400, 2000)
    assert home.battery.watts == battery_w


def test_a_power_that_the_twin_tells_as_a_limit_too_keeps_no_car_from_charging():
    told = plan(limit_w=8000)._replace(dispatch=Power(8000, None))
    home = run(make_home(), told)
    assert (home.car.watts, home.battery.watts) == (7400, -1400)


@pytest.mark.parametrize(("watts", "battery_w"), [(3000, -300), (-2000, -2000)])
def test_what_is_asked_of_the_battery_breaks_no_peak(watts, battery_w):
    told = plan(limit_w=300)._replace(devices=(("battery", Power(watts, None)),))
    assert run(make_home(), told).battery.watts == battery_w


def test_what_is_asked_of_the_battery_is_above_what_is_asked_of_the_house_and_below_a_limit():
    asked = plan()._replace(
        dispatch=Power(0, None), devices=(("battery", Power(3000, NOW + HOUR)),)
    )
    assert run(make_home(is_connected=False), asked).battery.watts == 3000
    assert (
        decide(make_home(), asked._replace(valid_until_s=NOW + 9 * HOUR), NOW + HOUR).battery_w < 0
    )
    bounded = asked._replace(most_import=Limit(4000, None))
    assert run(make_home(is_connected=False), bounded).battery.watts == 2000


def test_a_power_of_the_house_and_of_single_devices_is_read():
    event = {"id": "e", "start": "2026-06-14T17:00:00Z", "end": "2026-06-14T18:00:00Z"}
    one = event | {"resources": ["battery"], "value": -3000.0, "unit": "W", "relative": False}
    events = [
        one,
        one | {"resources": ["battery", "car"], "value": 1.0, "relative": True},
        one | {"resources": ["heat"], "value": None},
        one | {"resources": ["heat"], "unit": "%"},
        event,
    ]
    dispatch = {"value": -200, "unit": "W", "relative": True, "until": None, "event": "d"}
    found = parse_plan(DOCUMENT | {"dispatch": dispatch, "events": events})
    assert found.dispatch == Power(-200, None, is_relative=True)
    assert found.find_device("battery") == Power(-3000, 1_781_460_000.0)
    assert found.find_device("car") == Power(1, 1_781_460_000.0, is_relative=True)
    assert found.find_device("heat") is None


def test_a_peak_that_is_over_or_a_plan_whose_time_is_over_binds_nobody():
    told = plan(limit_w=300)
    assert decide(make_home(), told, NOW).reason.startswith("a peak")
    assert decide(make_home(), told, NOW + 600).reason == "nothing is asked"
    late = told._replace(valid_until_s=NOW + 2 * HOUR)
    assert decide(make_home(), late, NOW + HOUR).reason == "nothing is asked"


def test_a_car_charges_in_the_cheapest_time_before_it_leaves():
    home = make_home(leaves_s=NOW + 6 * HOUR)  # it needs 2.7 hours
    told = plan(0.4, 0.1, 0.4, 0.1, 0.1, 0.4)
    charged = []
    for quarter in range(24):
        run(home, told, 900, now_s=NOW + 900 * quarter)
        if home.car.watts:
            charged.append(quarter // 4)
    assert home.car.charge_wh == pytest.approx(home.car.wanted_wh)
    assert set(charged) == {1, 3, 4}


def test_a_car_that_has_no_time_to_spare_charges_in_a_peak_too():
    home = run(make_home(leaves_s=NOW + 2 * HOUR), plan(0.9, limit_w=300))
    assert home.car.watts == home.car.power_w
    assert home.battery.watts == -home.battery.power_w


def test_without_prices_a_car_charges_at_once():
    assert decide(make_home(), Plan(), NOW).is_car_charging


@pytest.mark.parametrize(
    ("prices", "tendency"),
    [((0.1, 0.2, 0.3), 1), ((0.2, 0.1, 0.3), 0), ((0.3, 0.2, 0.1), -1), ((), 0), ((0.2, 0.4), 1)],
)
def test_the_battery_follows_the_price(prices, tendency):
    assert find_tendency(plan(*prices), NOW) == tendency


def test_a_time_without_a_price_is_no_reason_to_move():
    assert find_tendency(plan(0.1, 0.3), NOW - HOUR) == 0


def test_one_price_for_the_whole_day_is_no_reason_to_move():
    assert find_tendency(plan(0.2, 0.2, 0.2), NOW) == 0


def test_a_cold_room_is_heated_in_a_peak_too():
    home = make_home()
    home.heat_pump.celsius = 18.5
    assert run(home, plan(limit_w=0)).heat_pump.watts == home.heat_pump.power_w


def test_what_the_home_has_is_told():
    home = make_home()
    doing = step(home, plan(limit_w=300), NOW, 60)
    told = describe(home, doing)
    assert [one["kind"] for one in told["devices"]] == ["battery", "ev", "heatPump"]
    assert told["devices"][0]["watts"] == -300
    assert told["reaction"] == "a peak: no more than 300 W"


def test_the_log_says_what_is_done_and_why_and_no_figures():
    home = make_home()
    doing = step(home, plan(limit_w=300), NOW, 60)
    line = narrate(home, doing)
    assert line == "a peak: the battery gives, the car waits, the heat pump does less"
    doing = step(home, Plan(), NOW, 60)
    line = narrate(home, doing)
    assert line == "nothing is asked: the battery rests, the car charges, the heat pump heats"


WATTS = st.integers(-9000, 9000)


@given(st.lists(st.tuples(WATTS, st.integers(1, HOUR)), max_size=40))
def test_a_battery_holds_what_it_can_and_no_more(steps):
    battery = Battery()
    for watts, seconds in steps:
        battery.step(watts, seconds)
        assert battery.reserve_wh - 1e-6 <= battery.charge_wh <= battery.capacity_wh + 1e-6
        assert abs(battery.watts) <= battery.power_w
