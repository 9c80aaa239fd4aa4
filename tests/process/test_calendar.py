"""A tariff's way from a file to the rate registers, with the real firmware, broker and twin.

The file is signed by `kubectl meter sign-calendar`; what hands it over in a cluster is a
port-forward, here it is the twin's local port itself. The meter's clock is before a quarter hour
that is further away than any twin may move it. Neighbour: `test_clock`.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from harness import ROOT, World
from meter_pki.order_key import OrderKey
from processes import wait_for

pytestmark = pytest.mark.timeout(600)
TARIFF, TOTAL = "0-0:96.14.0*255", "1-0:1.8.0*255"
RATE_1, RATE_2 = "1-0:1.8.1*255", "1-0:1.8.2*255"
BEFORE_S = 75
"""From the meter's start until the quarter hour, by its clock."""


class Utility:
    """Its key and files; it needs no cluster."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.public_hex = OrderKey.load(pem).public_hex
        (folder / "utility.pem").write_bytes(pem)
        tariffs = {
            "zone": "Europe/Brussels",
            "calendars": {"night": [["1234567", "00:00", 2]], "day": [["1234567", "00:00", 1]]},
            "meters": {"house-1": "night"},
        }
        (folder / "tariffs.json").write_text(json.dumps(tariffs))

    def sign(self, activates_s: int, *arguments: str) -> dict[str, str]:
        """Return the body of an order that gives house-1 a calendar."""
        out = self.folder / f"orders-{time.monotonic_ns()}"
        moment = datetime.fromtimestamp(activates_s, UTC).isoformat()
        command = [sys.executable, "-m", "kubectl_meter", "sign-calendar", "tariffs.json"]
        command += ["--key", "utility.pem", "--operator", "dso.example", "--out", str(out)]
        command += ["--activates", moment, *arguments]
        paths = os.pathsep.join(str(ROOT / part / "src") for part in ("kubectl", "wire", "pki"))
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": paths}
        subprocess.run(command, cwd=self.folder, env=environment, check=True, capture_output=True)
        found: dict[str, str] = json.loads((out / "house-1.order.json").read_text())
        return found


def change(body: dict[str, str]) -> dict[str, str]:
    """Return the order with another letter in it."""
    order = body["order"]
    place = len(order) // 2
    other = "A" if order[place] != "A" else "B"
    return {**body, "order": order[:place] + other + order[place + 1 :]}


def hand_over(world: World, body: dict[str, str]) -> str:
    status, document = world.ask("POST", "/v1/order", body)
    assert status == 200, document
    code: str = document["code"]
    return code


def start(world: World, utility: Utility) -> int:
    """Start everything; return the quarter hour that the meter's clock is shortly before."""
    quarter_s = (int(time.time()) // 900 + 2) * 900
    error_s = quarter_s - BEFORE_S - int(time.time())
    world.start(utility_key=utility.public_hex, rtc_error_s=error_s)
    wait_for(lambda: is_open(world) and rows(world), "the meter's readings", period_s=0.5)
    return quarter_s


def is_open(world: World) -> bool:
    try:
        return bool(world.ask("GET", "/v1/status")[1]["session"])
    except OSError:
        return False


def rows(world: World) -> list[tuple[int, dict[str, Any]]]:
    """Return (UTC second, register to value) of every reading."""
    found = world.ask("GET", "/v1/readings?limit=10000")[1]["readings"]
    return [
        (
            int(datetime.fromisoformat(one["time"]).timestamp()),
            {code: register["value"] for code, register in one["registers"].items()},
        )
        for one in found
    ]


def calendars_told(world: World) -> list[tuple[str, dict[str, Any]]]:
    events = world.ask("GET", "/v1/events?limit=10000")[1]["events"]
    return [(one["time"], one["arguments"]) for one in events if one["code"] == "calendar"]


def text(utc_s: int) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_signed_calendar_switches_the_registers_at_its_quarter_hour(
    world: World, tmp_path: pathlib.Path
) -> None:
    utility = Utility(tmp_path)
    quarter_s = start(world, utility)
    body = utility.sign(quarter_s - 5, "--counter", "7", "--valid-for", "1d")
    assert hand_over(world, body) == "ok"
    configured = {"name": None, "since": None}
    night = {"name": "night", "since": text(quarter_s)}
    found = world.ask("GET", "/v1/calendar")[1]
    assert found == {"live": "ok", "active": configured, "passive": night}
    assert rows(world)[-1][0] < quarter_s - 2, "the meter was told in time"

    def last_s() -> int:
        return rows(world)[-1][0]

    wait_for(lambda: last_s() > quarter_s + 45, "45 seconds of the other rate", 200, 1)
    found = rows(world)
    before = [values for at_s, values in found if at_s <= quarter_s]
    after = [values for at_s, values in found if at_s > quarter_s]
    assert before
    assert {values[TARIFF] for values in before} == {1}
    assert {values[TARIFF] for values in after} == {2}
    assert {values[RATE_2] for values in before} == {0}
    assert len({values[RATE_1] for values in after}) == 1, "nothing more is counted to rate 1"
    assert after[-1][RATE_2] >= 2, "230 W for 45 s"
    assert all(values[RATE_1] + values[RATE_2] == values[TOTAL] for _, values in found)
    assert world.ask("GET", "/v1/calendar")[1] == {"live": "ok", "active": night, "passive": None}
    assert calendars_told(world) == [(text(quarter_s), {"counter": 7, "calendar": "night"})]

    day = utility.sign(quarter_s + 900, "--counter", "8", "--calendar", "day")
    assert hand_over(world, body) == "repeated"
    assert hand_over(world, change(day)) == "unsigned"
    assert hand_over(world, day) == "unsigned", "after a false signature none for a minute"
    assert world.ask("GET", "/v1/calendar")[1]["passive"] is None
    world.wait_stored()
    world.check()


def test_a_calendar_whose_time_came_in_darkness_is_in_force_when_the_power_returns(
    world: World, tmp_path: pathlib.Path
) -> None:
    utility = Utility(tmp_path)
    quarter_s = start(world, utility)
    assert hand_over(world, utility.sign(quarter_s, "--counter", "7")) == "ok"
    world.firmware.kill()
    world.configure_meter(rtc_error_s=world.meter_json["rtc_error_s"] + 2000)
    world.firmware.start()
    wait_for(
        lambda: any(at_s > quarter_s + 1000 for at_s, _ in rows(world)),
        "readings afterwards",
        120,
        1,
    )
    lit = [(at_s, values) for at_s, values in rows(world) if at_s > quarter_s]
    assert {values[TARIFF] for _, values in lit} == {2}
    assert len({values[RATE_1] for _, values in lit}) == 1
    assert calendars_told(world) == [(text(quarter_s), {"counter": 7, "calendar": "night"})]
    found = world.ask("GET", "/v1/calendar")[1]
    assert found["active"] == {"name": "night", "since": text(quarter_s)}
    world.wait_stored()
    world.check()
