"""sign-calendar, order, calendar: from a tariff's file to what the meter answered."""

import base64
import datetime as dt
import json
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from kubectl_meter.calendar_file import CalendarFile, build_calendar
from meter_wire.portable.order import verifier
from meter_wire.utility_calendar import decode_calendar
from meter_wire.utility_order import parse_utility_order

KEY = ec.derive_private_key(1 << 200, ec.SECP256R1())
POINT = KEY.public_key().public_numbers()
PUBLIC = POINT.x.to_bytes(32, "big") + POINT.y.to_bytes(32, "big")
WEEK = [["12345", "07:00", 1], ["12345", "22:00", 2], ["67", "00:00", 2]]
TARIFFS = {
    "zone": "Europe/Brussels",
    "calendars": {"single": [["1234567", "00:00", 1]], "day-night": WEEK},
    "meters": {"house-1": "day-night", "house-2": "single"},
}
LONG = [[day, f"{hour:02}:{minute:02}", 1]
        for day in "1234567" for hour in range(8) for minute in (0, 15, 30, 45)]  # fmt: skip
"""More switches than a meter takes."""
NEW_YEAR_S = int(dt.datetime(2027, 1, 1, tzinfo=ZoneInfo("Europe/Brussels")).timestamp())


def pem(key=KEY, passphrase=None):
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()  # fmt: skip
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


@pytest.fixture
def utility(world):
    (world.folder / "utility.pem").write_bytes(pem())
    (world.folder / "tariffs.json").write_text(json.dumps(TARIFFS))
    return world


def sign(world, *arguments, activates="2027-01-01", out="orders"):
    fixed = ("--key", "utility.pem", "--operator", "dso.example", "--activates", activates)
    return world.run("sign-calendar", "tariffs.json", *arguments, *fixed, "--out", out)


def read(world, device, out="orders"):
    document = json.loads((world.folder / out / f"{device}.order.json").read_text())
    assert set(document) == {"order", "signature"}
    order, signature = (base64.b64decode(document[name]) for name in ("order", "signature"))
    assert verifier(PUBLIC)(order, signature)
    return parse_utility_order(order)


def test_every_meter_of_the_file_gets_an_order_that_its_utility_has_signed(utility):
    before = int(dt.datetime.now(dt.UTC).timestamp())
    done = sign(utility, "--valid-for", "2h", "--reason", "7")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert PUBLIC.hex() in done.stdout
    assert utility.lines("calls") == [], "no cluster is asked"
    for device, name in TARIFFS["meters"].items():
        order = read(utility, device)
        assert (order.device, order.action, order.reason) == (device, "set_calendar", 7)
        assert (order.operator, order.activates) == ("dso.example", NEW_YEAR_S)
        assert 0 <= order.not_after - before - 7200 < 60
        assert 0 <= order.counter - before < 60, "a later order has a higher counter by itself"
        calendar = decode_calendar(order.calendar)
        assert calendar.name == name
        assert sorted(calendar.switches) == sorted(TARIFFS["calendars"][name])
        assert len(calendar.offsets) > 18, "ten years of daylight saving"


def test_named_devices_get_the_calendar_that_was_named(utility):
    sign(utility, "house-9", "--calendar", "single", "--counter", "5", activates="now")
    assert [path.name for path in (utility.folder / "orders").iterdir()] == ["house-9.order.json"]
    order = read(utility, "house-9")
    assert (order.counter, order.activates) == (5, 0)


@pytest.mark.parametrize(
    ("activates", "seconds"),
    [
        ("2027-01-01T00:00", NEW_YEAR_S),
        ("2026-12-31T23:00:00Z", NEW_YEAR_S),
        ("2027-01-01T00:00:00+01:00", NEW_YEAR_S),
        ("now", 0),
    ],
)
def test_a_time_is_local_unless_it_says_otherwise(utility, activates, seconds):
    sign(utility, activates=activates)
    assert read(utility, "house-1").activates == seconds


def test_a_signed_order_is_never_overwritten(utility):
    sign(utility)
    before = (utility.folder / "orders/house-1.order.json").read_text()
    done = sign(utility)
    assert done.returncode == 1
    assert "--out" in done.stderr
    assert (utility.folder / "orders/house-1.order.json").read_text() == before


def change(world, **changes):
    (world.folder / "tariffs.json").write_text(json.dumps({**TARIFFS, **changes}))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("zone", {"zone": "Europe/Brussel"}),
        ("zone", {"zone": None}),
        ("calendars", {"calendars": []}),
        ("tarifs", {"tarifs": {}}),
        ("meters.house-1", {"meters": {"house-1": "summer"}}),
        ("meters.House", {"meters": {"House": "single"}}),
        ("meters", {"meters": {}}),
        ("calendars.single[0]", {"calendars": {"single": [["1", "07:10", 1]], "day-night": WEEK}}),
        ("calendars.single", {"calendars": {"single": 5, "day-night": WEEK}}),
        ("calendars.two words", {"meters": {"house-1": "two words"}, "calendars": {"two words": []}}),
        ("calendars.single", {"calendars": {"single": LONG, "day-night": WEEK}}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_file_is_named_and_nothing_is_signed(utility, field, changes):
    change(utility, **changes)
    done = sign(utility)
    assert done.returncode == 1
    assert f"field:  {field}\n" in done.stderr
    assert "remedy:" in done.stderr
    assert not (utility.folder / "orders").exists()


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("--activates", {"activates": "tomorrow"}),
        ("--activates", {"activates": "1900-01-01"}),
        ("--activates", {"activates": "2106-02-07T06:15:01Z"}),
    ],
)
def test_a_time_that_is_none_is_refused(utility, field, arguments):
    done = sign(utility, **arguments)
    assert done.returncode == 1
    assert field in done.stderr
    assert not (utility.folder / "orders").exists()


def test_a_key_that_cannot_sign_orders_is_refused_with_a_remedy_and_never_shown(utility):
    path = utility.folder / "utility.pem"
    keys = (pem(ec.generate_private_key(ec.SECP384R1())), b"nothing", KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))  # fmt: skip
    for bad in keys:
        path.write_bytes(bad)
        done = sign(utility)
        assert done.returncode == 1
        assert "prime256v1" in done.stderr
    path.unlink()
    assert "--key" in sign(utility).stderr
    assert not (utility.folder / "orders").exists()


# Handing over.


@pytest.fixture
def orders(utility):
    assert sign(utility).returncode == 0
    return utility


def test_each_order_goes_to_the_meter_that_it_names_and_its_answer_is_shown(orders):
    orders.answer({"POST /v1/order": [200, {"code": "ok"}]})
    done = orders.run("order", "orders/house-1.order.json")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout == "house-1: calendar day-night from 2026-12-31T23:00:00Z: ok: carried out\n"
    assert orders.lines("requests") == ["POST /v1/order"]


def test_of_a_folder_every_order_is_tried_and_what_was_not_done_ends_with_1(orders):
    orders.answer({"POST /v1/order": [200, {"code": "repeated"}]})
    (orders.folder / "orders/house-3.order.json").write_text(
        (orders.folder / "orders/house-1.order.json").read_text()
    )
    done = orders.run("order", "orders", "-o", "json")
    assert done.returncode == 1
    rows = json.loads(done.stdout)
    assert [(row["device"], row["code"]) for row in rows] == [
        ("house-1", "repeated"), ("house-2", "no_twin"), ("house-1", "repeated"),
    ]  # fmt: skip
    assert "3 of 3 orders were not carried out" in done.stderr


def test_one_folder_serves_many_meters_each_by_its_own_twin(orders):
    orders.answer({"POST /v1/order": [200, {"code": "ok"}]})
    meter = json.loads((orders.folder / "smartmeters.house-1.json").read_text())
    change(orders, meters={f"house-{number}": "single" for number in range(10, 30)})
    sign(orders, out="many")
    for number in range(10, 30):
        meter["metadata"]["name"] = f"meter-{number}"
        meter["spec"]["device"] = f"house-{number}"
        meter["status"]["twin"]["pod"] = f"house-{number}-e3"
        orders.put("smartmeters", f"meter-{number}", meter)
    done = orders.run("order", "many", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert [row["device"] for row in json.loads(done.stdout)] == [f"house-{n}" for n in range(10, 30)]  # fmt: skip
    forwarded = [line for line in orders.lines("calls") if line.startswith("port-forward")]
    assert sorted(line.split()[1] for line in forwarded) == [f"pod/house-{n}-e3" for n in range(10, 30)]  # fmt: skip


def test_an_order_for_nobody_here_is_said_and_with_labels_left_out(orders):
    sign(orders, "house-9", "--calendar", "single", out="other")
    done = orders.run("order", "other")
    assert done.returncode == 1
    assert "house-9: calendar single from 2026-12-31T23:00:00Z: no_meter" in done.stdout
    done = orders.run("order", "other", "-l", "metertwin.io/feeder=feeder-1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "--selector=metertwin.io/feeder=feeder-1" in orders.lines("calls")[-1]


@pytest.mark.parametrize("code", ["unsigned", "expired", "refused", "meter_offline", "timeout"])
def test_every_answer_is_explained(orders, code):
    orders.answer({"POST /v1/order": [200, {"code": code}]})
    done = orders.run("order", "orders/house-1.order.json")
    assert done.returncode == 1
    assert len(done.stdout.partition(f": {code}: ")[2]) > 20


@pytest.mark.parametrize("text", ["{}", "no JSON", "[]", '{"order": "AQ==", "signature": "AQ=="}'])
def test_what_is_no_order_is_refused_before_anything_is_sent(orders, text):
    (orders.folder / "orders/house-2.order.json").write_text(text)
    done = orders.run("order", "orders")
    assert done.returncode == 1
    assert "house-2.order.json" in done.stderr
    assert orders.lines("calls") == []


def test_a_folder_without_orders_and_a_missing_file_are_named(orders):
    (orders.folder / "empty").mkdir()
    for path in ("empty", "missing.order.json"):
        done = orders.run("order", path)
        assert done.returncode == 1
        assert path in done.stderr


# Showing.


def test_the_calendar_in_force_and_the_one_to_come_are_shown(world):
    active = {"name": None, "since": None}
    passive = {"name": "winter", "since": "2026-12-31T23:00:00Z"}
    world.answer({"/v1/calendar": [200, {"live": "ok", "active": active, "passive": passive}]})
    done = world.run("calendar", "house-1")
    expected = "house-1: configured; winter from 2026-12-31T23:00:00Z\n"
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
    found = json.loads(world.run("calendar", "house-1", "-o", "json").stdout)
    assert found == {"meter": "house-1", "live": "ok", "active": active, "passive": passive}
    world.answer({"/v1/calendar": [200, {"live": "ok", "active": passive, "passive": None}]})
    done = world.run("calendar", "house-1")
    assert done.stdout == "house-1: winter since 2026-12-31T23:00:00Z\n"


def test_a_meter_that_does_not_say_is_an_error(world):
    world.answer({"/v1/calendar": [200, {"live": "timeout", "active": None, "passive": None}]})
    done = world.run("calendar", "house-1")
    assert done.returncode == 1
    assert "house-1 did not say: timeout" in done.stderr


# Zones, to the meter's own code.


@given(
    st.sampled_from(["Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.integers(0, 10 * 365 * 96 - 1),
)
def test_a_meter_switches_by_local_time_in_every_quarter_hour_of_ten_years(zone, quarter):
    from tariff import Calendar

    now = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    found = CalendarFile(zone, {"week": WEEK}, {})
    built = BUILT.setdefault(zone, decode_calendar(build_calendar(found, "week", now)))
    meter = Calendar([tuple(row) for row in built.switches], [tuple(row) for row in built.offsets])
    utc_s = int(now.timestamp()) + quarter * 900
    local = dt.datetime.fromtimestamp(utc_s, ZoneInfo(zone))
    is_day = local.isoweekday() < 6 and 7 <= local.hour < 22
    assert meter.rate(utc_s) == (1 if is_day else 2), local


BUILT = {}
