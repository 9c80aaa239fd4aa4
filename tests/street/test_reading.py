import datetime as dt
import itertools
import re
import time

import pytest
from demo import FEEDER, HOUSES, WHOLE, ask_meter, meter, read_live, until

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]
IMPORT, EXPORT = "1-0:1.8.0*255", "1-0:2.8.0*255"
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
UNITS = {
    "0-0:1.0.0*255": "s", "1-0:1.6.0*255": "W", "1-0:1.7.0*255": "W", "1-0:2.7.0*255": "W",
    "1-0:16.7.0*255": "W", "1-0:13.7.0*255": "", "1-0:14.7.0*255": "Hz", "1-0:3.8.0*255": "varh",
    "1-0:4.8.0*255": "varh", "1-0:31.7.0*255": "A", "1-0:32.7.0*255": "V", "0-0:96.1.0*255": "",
    "0-0:96.14.0*255": "", "0-0:96.3.10*255": "",
    **{f"1-0:{way}.8.{rate}*255": "Wh" for way in (1, 2) for rate in range(5)},
}  # fmt: skip
OTHER_PHASES = {
    f"1-0:{group}.7.0*255": unit for group, unit in ((51, "A"), (71, "A"), (52, "V"), (72, "V"))
}
QUANTUM_WH = 1
"""Each register counts whole watt-hours and drops the rest: less than one at either end."""
SAMPLE_S = 2
"""Meters are separate processes: each closes a minute within two seconds of the others."""
PEAK_W = 15_000
"""No house of the street draws or feeds in more than this."""


def value(reading, code):
    return reading["registers"][code]["value"]


def test_a_cached_read_says_so_and_is_at_most_a_capture_period_old():
    def is_young():
        found = ask_meter("read", "house-1")
        assert found["source"] == "cached"
        assert found["device"] == "house-1"
        assert 0 <= found["age_seconds"] <= 60 + 20, found["age_seconds"]
        return True

    until(is_young, "a reading on its way arrives, however busy the machine is", 30)


def test_a_live_read_is_asked_from_the_meter_now():
    def is_fresh():
        found = read_live("house-1")
        assert found["source"] == "metered"
        assert value(found, "0-0:96.1.0*255") == "house-1"
        assert found["age_seconds"] <= 5, found["age_seconds"]
        return True

    # Asked in the middle of a minute, so that no cached reading is that young.
    if not 10 <= time.time() % 60 < 35:
        time.sleep((10 - time.time()) % 60)
    until(is_fresh, "an answer of now", 20)


@pytest.mark.parametrize("live", [[], ["--live"]])
def test_every_register_has_its_unit(live):
    found = read_live("house-1") if live else ask_meter("read", "house-1")
    registers = found["registers"]
    units = UNITS | OTHER_PHASES  # house-1 has three
    assert {code: registers[code]["unit"] for code in units} == units


@pytest.mark.parametrize("live", [[], ["--live"]])
def test_people_read_value_unit_age_and_origin(live):
    text = until(lambda: meter("read", "house-2", *live).stdout, "the meter answers")
    # A maximum has a time, from the first whole quarter hour on.
    assert re.search(r"^REGISTER +VALUE +UNIT +NAME( +TIME)?$", text, re.MULTILINE)
    assert re.search(r"^1-0:1\.8\.0\*255 +[\d ]*\d +Wh +Active energy import", text, re.MULTILINE)
    assert re.search(r"^1-0:32\.7\.0\*255 +\d{3}\.\d+ +V ", text, re.MULTILINE)
    assert "asked from the meter now" in text if live else re.search(r"cached, \d+s old", text)


@pytest.mark.parametrize("device", WHOLE)
def test_the_rates_sum_to_the_total(device):
    found = read_live(device)
    for way, total in ((1, IMPORT), (2, EXPORT)):
        rates = [value(found, f"1-0:{way}.8.{rate}*255") for rate in range(1, 5)]
        assert sum(rates) == value(found, total)


def test_readings_are_objects_with_identity_time_status_and_registers():
    rows = ask_meter("readings", "house-1", "--since", "1h")
    assert rows
    for row in rows:
        assert set(row) == {"incarnation", "seq", "time", "status", "registers"}
        assert re.fullmatch(r"[0-9a-f]{16}", row["incarnation"])
        assert row["seq"] >= 1
        assert re.fullmatch(RFC3339, row["time"])
        assert row["time"].endswith(":00Z"), "a reading is stamped with the end of its interval"
        assert isinstance(row["status"], list)
        for code, register in row["registers"].items():
            assert re.fullmatch(r"\d+-\d+:\d+\.\d+\.\d+\*\d+", code)
            assert {"value", "unit"} <= set(register) <= {"value", "unit", "time"}
    energies = [value(row, IMPORT) for row in rows]
    assert energies == sorted(energies), "energy never falls"


def test_a_period_is_cut_at_its_ends():

    def two():
        found = ask_meter("readings", "house-1", "--since", "1h")
        return found if len(found) >= 2 else None

    rows = until(two, "two readings, one a minute")
    times = [row["time"] for row in rows]
    some = ask_meter("readings", "house-1", "--since", times[0], "--until", times[-1])
    assert [row["time"] for row in some] == times[:-1]


def test_a_wrong_name_and_a_wrong_option_are_explained():
    done = meter("read", "house-99", check=False)
    assert done.returncode != 0
    assert "house-99" in done.stderr
    assert "kubectl get meters" in done.stderr
    done = meter("readings", "house-1", "--since", "yesterday", check=False)
    assert done.returncode != 0
    assert "since" in done.stderr
    assert "remedy" in done.stderr


def list_boots(device):
    return [row["time"] for row in ask_meter("events", device, "--since", "1h") if row["code"] == "firmware_start"]  # fmt: skip


def find_undisturbed_run():
    """Return the readings of the feeder and its houses over the longest run of minutes without a restart."""
    tables = {}
    for device in WHOLE:
        rows = ask_meter("readings", device, "--since", "1h")
        tables[device] = {row["time"]: row for row in rows}
    times = sorted(set.intersection(*(set(table) for table in tables.values())))
    boots = [time for device in WHOLE for time in list_boots(device)]
    runs, run = [], times[:1]
    for begin, end in itertools.pairwise(times):
        if any(begin <= boot < end for boot in boots):
            runs.append(run)
            run = []
        run.append(end)
    best = max([*runs, run], key=len)
    return tables, best if len(best) >= 3 else []


def test_the_feeder_measures_the_sum_of_its_houses():
    tables, run = until(lambda: (found := find_undisturbed_run())[1] and found, "three minutes", 400, 10)  # fmt: skip
    first, last = run[0], run[-1]

    def net(device):
        table = tables[device]
        used = value(table[last], IMPORT) - value(table[first], IMPORT)
        return used - (value(table[last], EXPORT) - value(table[first], EXPORT))

    houses = {device: net(device) for device in HOUSES}
    tolerance = 2 * QUANTUM_WH * len(WHOLE)
    # The two ends of the run each fall within SAMPLE_S of the minute, at the power of that moment.
    for table in tables.values():
        for end in (first, last):
            power = abs(value(table[end], "1-0:16.7.0*255"))
            assert power < PEAK_W
            tolerance += power * SAMPLE_S / 3600
    seconds = (dt.datetime.fromisoformat(last) - dt.datetime.fromisoformat(first)).seconds
    assert seconds >= 120
    assert abs(net(FEEDER) - sum(houses.values())) <= tolerance, (net(FEEDER), houses, tolerance)
    moved = sum(abs(energy) for energy in houses.values())
    assert moved > 1.5 * tolerance or seconds < 300, "long enough to tell a wrong sum"
