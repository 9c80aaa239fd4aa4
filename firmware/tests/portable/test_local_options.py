"""The options of loads, trips and watchdog: what is given is checked, and none changes nothing."""

from config import Config, ConfigError

DEVICE = {"device": "house-1", "key": "00" * 32, "broker": {"host": "broker"}}
OVER_VOLTAGE = {"pick_up_mv": 253000, "drop_out_mv": 250000}


def read(**changes):
    table = dict(DEVICE)
    table.update(changes)
    return Config(table, ".")


def fault(**changes):
    """Return the field that a configuration is refused for."""
    try:
        read(**changes)
    except ConfigError as error:
        return error.args[0].split(":")[0]
    return None


def trip(kind="over_voltage", **changes):
    row = dict(OVER_VOLTAGE)
    row.update(changes)
    return {"trips": {kind: row}}


def test_without_options_a_load_has_no_minimum_times_and_nothing_trips():
    config = read()
    assert config.loads == [(None, 300, 60, 0, 0, 0, 0)]
    assert config.trips == []
    assert config.watchdog_s == 0


def test_the_times_of_a_load_are_whole_seconds_up_to_an_hour():
    row = {"min_on_s": 120, "min_off_s": 3600, "hold_off_s": 1, "lock_out_trips": 20}
    assert read(loads=[row]).loads == [(None, 300, 60, 120, 3600, 1, 20)]
    for key, wrong in (
        ("min_on_s", 3601),
        ("min_off_s", -1),
        ("hold_off_s", 1.5),
        ("hold_off_s", "60"),
        ("lock_out_trips", 21),
        ("lock_out_trips", True),
    ):
        assert fault(loads=[{}, {key: wrong}]) == "loads[1]." + key


def test_a_trip_has_thresholds_in_its_unit_a_load_and_a_delay():
    assert read(**trip()).trips == [(0, 0, 253000, 250000, 0)]
    config = read(
        loads=[{}, {}],
        trips={
            "load_limit": {"pick_up_w": 9000, "drop_out_w": 8000, "delay_ms": 5000},
            "under_frequency": {"pick_up_mhz": 49000, "drop_out_mhz": 49500, "load": 1},
        },
    )
    assert config.trips == [(3, 1, 49000, 49500, 0), (5, 0, 9000, 8000, 5000)]


def test_an_option_of_a_trip_that_cannot_be_is_refused_by_its_name():
    where = "trips.over_voltage."
    assert fault(trips={"over_power": {}}) == "trips.over_power"
    assert fault(trips=[]) == "trips"
    assert fault(trips={"over_voltage": 253}) == "trips.over_voltage"
    assert fault(trips={"over_voltage": {}}) == where + "pick_up_mv"
    assert fault(**trip(pick_up_mv=0)) == where + "pick_up_mv"
    assert fault(**trip(drop_out_mv=253000)) == where + "drop_out_mv"
    assert fault(**trip(drop_out_mv=253001)) == where + "drop_out_mv"
    assert fault(**trip(delay_ms=3600001)) == where + "delay_ms"
    assert fault(**trip(load=1)) == where + "load"
    assert fault(loads=[], **trip()) == where + "load"
    assert fault(**trip(pick_up_w=5)) == where + "pick_up_w"
    row = {"pick_up_mhz": 49000, "drop_out_mhz": 48900}
    assert fault(trips={"under_frequency": row}) == "trips.under_frequency.drop_out_mhz"


def test_no_trip_can_name_the_supply():
    assert fault(**trip(load="supply")) == "trips.over_voltage.load"


def test_the_watchdog_waits_longer_than_a_silent_broker():
    assert read(watchdog_s=90).watchdog_s == 90
    for wrong in (1, 89, 3601):
        assert fault(watchdog_s=wrong) == "watchdog_s"
