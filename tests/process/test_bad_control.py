"""Bad control records are refused and counted by a real twin, and cost it neither memory nor office.

Only the operator may write `ctl`; here its rules fail, as in `test_bad_frames`. What is sent is
refused by the codec itself or is older than what the twin has accepted. Neighbour: `attack`.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from attack import LARGEST, Attacker, flip
from harness import DEVICE, K_METER, World
from loopback import free_port
from meter_wire.control import parse_control, sign_record
from meter_wire.portable.keys import derive_key
from meter_wire.portable.tlv import RemoteProtocolError
from processes import wait_for

pytestmark = pytest.mark.timeout(600)
CTL = f"mt/{DEVICE}/1/ctl"
RECORDS = 400
"""Bad records a round."""
REASONS = ("mac", "malformed", "empty", "epoch", "counter")
FOREIGN_KEY = bytes(32)


@pytest.fixture
def attacker(world: World) -> Iterator[Attacker]:
    """Everything runs; the attacker has seen a control record, and a newer one is accepted."""
    port = free_port()
    world.configure_broker(open_port=port)
    world.start_broker()
    made = Attacker(port)
    try:
        world.operator.start()
        world.operator.take_over()
        world.twin.start()
        world.make_firmware().start()
        wait_for(lambda: made.frames(CTL), "the attacker sees a record")
        world.operator.prepare()
        world.operator.abort()
        world.wait_stored(6)
        wait_for(lambda: has_authority(world), "the twin is active")
        yield made
    finally:
        made.close()


def status(world: World) -> dict[str, Any]:
    code, document = world.ask("GET", "/v1/status")
    assert code == 200
    found: dict[str, Any] = document
    return found


def has_authority(world: World) -> bool:
    """Whether the twin may act on others; a load's limit is such an act."""
    body = {"limit_w": 1000, "seconds": 1}
    return status(world)["gate"] == "active" and world.ask("POST", "/v1/load", body)[0] == 200


def refused(world: World) -> Counter[str]:
    return Counter[str](status(world)["gateRefused"])


def key_of(world: World) -> bytes:
    return derive_key(K_METER, "ctl", DEVICE, 1, world.operator.ids[1])


def is_refused_by_codec(payload: bytes, key: bytes) -> bool:
    """Whether it is no authentic record (one flipped bit may be the case of a hex digit)."""
    try:
        parse_control(payload, key)
    except RemoteProtocolError:
        return True
    return False


def bad_records(world: World, attacker: Attacker, choose: random.Random) -> Iterator[bytes]:
    """Yield records that a twin must refuse, for each of the reasons."""
    key, old = key_of(world), attacker.frames(CTL)[0]
    document = json.loads(old)
    del document["mac"]
    retire = {**document, "state": "retired", "counter": document["counter"] + 1000}
    authentic = (
        old,
        json.dumps(sign_record({**retire, "epoch": 2}, key)).encode(),
        json.dumps(sign_record({**retire, "epochId": "00" * 16}, key)).encode(),
    )
    for number in range(RECORDS):
        forged = (
            json.dumps(sign_record(retire, FOREIGN_KEY)).encode(),
            json.dumps(sign_record({**retire, "state": "king"}, key)).encode(),
            flip(old, choose.randrange(8 * len(old))),
            old[: choose.randrange(len(old))],
            choose.randbytes(choose.randint(1, LARGEST)),
            b"[" * LARGEST,
            b"",
        )
        kinds = (*authentic, *(one for one in forged if is_refused_by_codec(one, key)))
        yield kinds[number % len(kinds)]


def storm(world: World, attacker: Attacker, choose: random.Random) -> int:
    """Send a round of bad records, wait until all are counted; return the twin's KiB."""
    before = refused(world)
    attacker.send(CTL, bad_records(world, attacker, choose))
    wait_for(lambda: (refused(world) - before).total() >= RECORDS, "every record is counted")
    counted = refused(world) - before
    assert all(counted[reason] >= RECORDS // 50 for reason in REASONS), counted
    return world.twin.resident_kib()


def test_bad_control_records_are_counted_and_take_no_authority(
    world: World, attacker: Attacker
) -> None:
    choose, process = random.Random(7), world.twin.pid
    storm(world, attacker, choose)
    once = storm(world, attacker, choose)
    logged = len(world.oracle())
    twice = storm(world, attacker, choose)
    assert twice - once < 512, "no growth"
    assert world.twin.log.count("control record refused") <= len(REASONS) + 1
    assert world.twin.pid == process
    assert status(world)["gate"] == "active", "no word of the operator was among them"
    wait_for(lambda: has_authority(world), "the meter still obeys it")
    wait_for(lambda: len(world.oracle()) > logged + 3, "the meter goes on")
    world.operator.take_over()
    wait_for(lambda: '"retired"' in read_gate(world), "the operator's own word counts")


def read_gate(world: World) -> str:
    """Return what the first twin says of itself, though it is not the active one any more."""
    world.operator.active, active = 1, world.operator.active
    try:
        return json.dumps(status(world)["gate"])
    finally:
        world.operator.active = active
