"""The street's boards get a password each, the broker its hash, once; others keep theirs."""

import base64
import datetime as dt
import hashlib
import json
from typing import Any

import pytest
from meter_pki.authority import Authority
from own_checkout import Checkout
from own_street import OwnStreet

AUTHORITY = Authority.create(dt.datetime.now(dt.UTC))
GIVE = (
    "import passwords; from target import Target; there = Target('none', 'local');"
    "passwords.ensure_passwords(there, 'street'); passwords.give_credentials(there, 'street', 'metertwin')"
)
HOUSES = ("house-9", "house-10")


@pytest.fixture
def street(checkout: Checkout) -> OwnStreet:
    """A street whose chart was just installed."""
    made = OwnStreet(checkout)
    made.begin(AUTHORITY, {}, {})
    return made


def give(street: OwnStreet) -> dict[str, Any]:
    done = street.checkout.ask(GIVE)
    assert done.returncode == 0, done.stderr
    return street.state()


def table_of(state: dict[str, Any], device: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        base64.b64decode(state["secrets"][f"meter-{device}"]["meter.json"])
    )
    return found


def lines_of(state: dict[str, Any]) -> dict[str, str]:
    text = base64.b64decode(state["secrets"]["board-passwords"]["passwords"]).decode()
    return dict(line.split(":", 1) for line in text.splitlines())


def opens(line: str, password: str) -> bool:
    """Whether Mosquitto lets somebody in who says this password."""
    _, kind, rounds, salt, digest = line.split("$")
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), base64.b64decode(salt), int(rounds))
    return (kind, base64.b64decode(digest)) == ("7", made)


def test_each_board_gets_a_password_that_the_broker_knows_by_its_hash(street: OwnStreet) -> None:
    state = give(street)
    lines = lines_of(state)
    assert tuple(lines) == HOUSES
    for device in HOUSES:
        table = table_of(state, device)
        assert table["broker"]["user"] == device
        assert opens(lines[device], table["broker"]["password"])
        assert table["broker"]["port"] == 1883
        assert len(table["load_w"]) == 24
        assert set(state["secrets"][f"meter-{device}"]) == {"meter.json"}
    assert state["restarted"] == ["deployment/metertwin-mosquitto"]


def test_a_second_run_changes_nothing(street: OwnStreet) -> None:
    assert give(street) == give(street)


@pytest.mark.parametrize("what", ["its Secret", "its line"])
def test_a_board_that_lost_one_half_gets_both_anew_and_the_other_board_keeps_its_own(
    street: OwnStreet, what: str
) -> None:
    before = give(street)
    state = street.state() | {"pods": {"meter-house-9": "", "meter-house-10": ""}}
    if what == "its Secret":
        del state["secrets"]["meter-house-9"]
    else:
        line = f"house-10:{lines_of(before)['house-10']}\n".encode()
        state["secrets"]["board-passwords"]["passwords"] = base64.b64encode(line).decode()
    street.place.write_text(json.dumps(state))
    after = give(street)
    assert after["pods"] == {"meter-house-10": ""}, "the one with the old password goes"
    assert opens(lines_of(after)["house-9"], table_of(after, "house-9")["broker"]["password"])
    assert table_of(after, "house-9") != table_of(before, "house-9")
    assert table_of(after, "house-10") == table_of(before, "house-10")
    assert lines_of(after)["house-10"] == lines_of(before)["house-10"]


def pod(address: str, **spec: object) -> dict[str, Any]:
    return {"spec": spec, "status": {"podIP": address} if address else {}}


@pytest.mark.parametrize(
    ("nodes", "pods", "ranges"),
    [
        pytest.param(
            [["10.244.1.0/24"], ["10.244.0.0/24", "fd00:1::/64"]], [pod("10.9.9.9")],
            ["10.244.0.0/24", "10.244.1.0/24", "fd00:1::/64"], id="the nodes say it",
        ),
        pytest.param(
            [[], []], [pod("10.97.32.4"), pod("10.97.48.9"), pod("fd00:2::7"), pod("")],
            ["10.97.0.0/16", "fd00:2::/64"], id="the plug-in gives the addresses",
        ),
        pytest.param(
            [[]], [pod("192.0.2.1", hostNetwork=True), pod("10.97.1.1")], ["10.97.0.0/16"],
            id="the address of a node is no pod's",
        ),
    ],
)  # fmt: skip
def test_boards_may_come_from_the_clusters_pods_and_from_nowhere_else(
    checkout: Checkout, nodes: list[list[str]], pods: list[dict[str, Any]], ranges: list[str]
) -> None:
    rows = [{"spec": {"podCIDRs": one} if one else {}} for one in nodes]
    asked = f"import passwords; print(passwords.judge_ranges({rows!r}, {pods!r}))"
    done = checkout.ask(asked)
    assert done.stdout.strip() == str(ranges), done.stderr
