"""Write wire/vectors/link-v1.json from the code; `--check` only compares.

Link version 1 is frozen: a difference means that deployed meters would no longer be understood.
"""

import argparse
import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "wire/src"), str(Path(__file__).parent)]

from meter_wire.commands import (  # noqa: E402
    Forward,
    Order,
    PassOwner,
    Read,
    SetTime,
    Subscribe,
    Write,
)
from meter_wire.fleet_keys import derive_meter_key  # noqa: E402
from meter_wire.libcrypto_aes import aes  # noqa: E402
from meter_wire.memory import MemoryMeter, MemoryRing  # noqa: E402
from meter_wire.owner_record import parse_owner_hello  # noqa: E402
from meter_wire.portable.description import encode_description  # noqa: E402
from meter_wire.portable.entry import encode_event, encode_reading, encode_register  # noqa: E402
from meter_wire.portable.keys import derive_key, hkdf_sha256, hmac_sha256  # noqa: E402
from meter_wire.portable.order import verifier  # noqa: E402
from meter_wire.portable.segments import split  # noqa: E402
from meter_wire.portable.tlv import encode_int, number  # noqa: E402
from meter_wire.utility_order import encode_utility_order  # noqa: E402
from order_vectors import (  # noqa: E402
    PUBLIC_KEY,
    build_calendar_vectors,
    build_order_vectors,
    calendar_order,
    sign,
)

FILE = ROOT / "wire/vectors/link-v1.json"
DEVICE = "house-1"
MASTER = bytes(range(32))
KEY = derive_meter_key(MASTER, DEVICE, 1)
ENERGY = bytes([1, 0, 1, 8, 0, 255])
SERIAL = bytes([0, 0, 96, 1, 0, 255])
DEMAND = bytes([1, 0, 1, 6, 0, 255])
BOOT = 65543
"""More than 16 bits; entries have the low ones, 7."""
DESCRIPTION = encode_description("MT-1", "1.0.0", [(ENERGY, 30, 0), (DEMAND, 27, 0)])


class Draw:
    """Random bytes that are the same each time: SHA-256 of a label and a count."""

    def __init__(self, label: str) -> None:
        """`label`: who draws."""
        self.label = label
        self.count = 0

    def __call__(self, length: int) -> bytes:
        """Return the next bytes."""
        self.count += 1
        return sha256(f"{self.label}{self.count}".encode()).digest()[:length]


def build_reading(seq: int) -> bytes:
    """Return a reading with each form of register."""
    registers = [
        encode_register(ENERGY, 1000 * seq),
        encode_register(SERIAL, b"MT-1"),
        encode_register(DEMAND, -seq, 1_700_000_000),
    ]
    return encode_reading(0x0082, 1_700_000_000 + 900 * seq, 900 * seq, 1, registers)


class Transcript:
    """A meter and its twins, every step written down as the meter sees it."""

    def __init__(self, *, encrypted: bool = False) -> None:
        """Begin with a new meter, one that wants its frames encrypted or not."""
        self.meter = MemoryMeter(DEVICE, KEY, Draw("twin"))
        self.meter.aes = aes if encrypted else None
        self.meter.ring = MemoryRing(b"incarnat", 12)
        self.meter.random = Draw("meter")
        self.meter.description = DESCRIPTION
        self.meter.boot = BOOT - 1
        self.meter.verify = verifier(PUBLIC_KEY)
        self.meter.reboot()
        self.meter.random = Draw("twin")
        self.steps: list[list[Any]] = []
        self.pump()

    def step(self, *words: Any) -> None:
        """Write a step down."""
        self.steps.append(
            [word.hex() if isinstance(word, bytes | bytearray) else word for word in words]
        )

    def pump(self) -> None:
        """Deliver until both sides are silent."""
        meter = self.meter
        while out := meter.link.poll(meter.now_ms):
            self.step("up", *out)
            if out[0]:
                twin = meter.twin(out[0])
                twin.aes = aes
                twin.act(twin.link.receive(out[1], meter.now_ms, 1_700_000_000_123))
                self.down(out[0])
            else:
                meter.hellos.append(out[1])

    def down(self, epoch: int) -> None:
        """Deliver what the twin has sent."""
        twin = self.meter.twin(epoch)
        while twin.down:
            payload = twin.down.popleft()
            event = self.meter.link.receive(epoch, payload, self.meter.now_ms)
            self.step("down", epoch, payload, event[0] if event else "")

    def owner(self, *arguments: Any) -> None:
        """Hand an owner record over."""
        record = self.meter.record(*arguments)
        taken = self.meter.accept(record)
        self.step("owner", record, taken)
        self.pump()

    def append(self, entry: bytes) -> None:
        """Append to the ring."""
        self.meter.ring.append(entry)
        self.step("append", entry)

    def tick(self, ms: int) -> None:
        """Let time pass."""
        self.meter.now_ms += ms
        self.step("tick", ms)
        self.pump()


def build_long_reading() -> bytes:
    """Return a reading that is nearly as long as an entry may be."""
    return encode_reading(
        0, 1_700_000_900, 900, BOOT, [encode_register(SERIAL, bytes([n]) * 31) for n in range(15)]
    )


def add_segments(world: Transcript) -> None:
    """Cut an item into segments both ways: a forward down, its answer with a reading up."""
    twin = world.meter.twin(2)
    identity, effects = twin.link.command(Forward(bytes(range(256))), 5000, world.meter.now_ms)
    twin.act(effects)
    twin.down.clear()
    session = twin.link._session  # noqa: SLF001 - a twin may cut what would have fitted
    assert session is not None
    body = number(29, identity) + number(30, 1 << 40) + b"\x27\x80\x02" + bytes(range(256))
    for part in split(0x87, body, 200, 1):
        twin.down.extend(session.seal(0x8B, part))
    world.down(2)
    answer = (2, identity, 0, build_long_reading(), bytes(range(256)) * 2)
    world.meter.link.answer(*answer)
    world.step("answer", *answer)
    world.pump()


def add_orders(world: Transcript) -> None:
    """Pass two orders on: one that the utility signed, one with a changed byte."""
    row = build_order_vectors(DEVICE)["rows"][0]
    order, signature = bytes.fromhex(row[1]), bytes.fromhex(row[2])
    twin = world.meter.twin(2)
    for one in (order, order[:-1] + b"\x2b"):
        identity, effects = twin.link.command(Order(one, signature), 5000, world.meter.now_ms)
        twin.act(effects)
        world.down(2)
        if one == order:
            world.meter.link.answer(2, identity, 0)
            world.step("answer", 2, identity, 0, b"", b"")
        world.pump()


def add_the_rest(world: Transcript) -> None:
    """A live reading, the fast path of an owner record, a twin that restarts and nudges."""
    meter, twin = world.meter, world.meter.twin(2)
    live = (2, 77, build_reading(3))
    meter.link.live(*live)
    world.step("live", *live)
    world.pump()
    _, effects = twin.link.command(PassOwner(meter.record(6, 2)), 5000, meter.now_ms)
    twin.act(effects)
    world.down(2)
    world.pump()
    twin.restart()
    twin.act(twin.link.connected(meter.now_ms))
    world.down(2)
    world.tick(6000)


def add_calendar(world: Transcript) -> None:
    """Pass an order with a calendar on."""
    twin = world.meter.twin(2)
    order = encode_utility_order(calendar_order(DEVICE))
    identity, effects = twin.link.command(Order(order, sign(order)), 5000, world.meter.now_ms)
    twin.act(effects)
    world.down(2)
    world.meter.link.answer(2, identity, 0)
    world.step("answer", 2, identity, 0, b"", b"")
    world.pump()


def build_transcript() -> list[list[Any]]:
    """Return the steps of a session with everything in it."""
    world = Transcript()
    hello = parse_owner_hello(world.meter.hellos[-1], derive_key(KEY, "hello", DEVICE))
    world.owner(1, 1, 0, b"notmine!")
    for seq in range(1, 16):
        world.append(build_reading(seq))
    world.owner(1, 1, 0, hello.nonce)
    world.meter.ring.reserve(5)
    world.step("reserve", 5)
    world.append(encode_event(0x0010, 0, 77, BOOT, 1, [1, -300, b"x"]))
    world.tick(1000)
    for command in (
        Read((ENERGY, SERIAL)),
        Read(),
        Subscribe((ENERGY,), 5, 60),
        Write("load", 1500, 1, 600),
        Forward(b"\x00opaque\xff"),
        SetTime(1_700_000_001_000),
    ):
        twin = world.meter.twin(1)
        number, effects = twin.link.command(command, 5000, world.meter.now_ms)
        twin.act(effects)
        world.down(1)
        world.meter.link.answer(1, number, 0, build_reading(1), b"reply")
        world.step("answer", 1, number, 0, build_reading(1), b"reply")
        world.pump()
    world.owner(2, 1, 2)
    world.append(build_reading(17))
    world.tick(1000)
    world.owner(3, 2)
    world.owner(3, 1)
    add_segments(world)
    add_orders(world)
    world.meter.broker = "other.example:8884"
    world.owner(4, 2)
    world.meter.broker = ""
    world.owner(5, 2)
    add_the_rest(world)
    add_calendar(world)
    return world.steps


def build_encrypted_transcript() -> list[list[Any]]:
    """Return the steps of an encrypted session: each kind of frame, both ways of segments."""
    world = Transcript(encrypted=True)
    hello = parse_owner_hello(world.meter.hellos[-1], derive_key(KEY, "hello", DEVICE))
    world.owner(1, 2, 0, hello.nonce)
    for seq in range(1, 9):
        world.append(build_reading(seq))
    world.tick(1000)
    twin = world.meter.twin(2)
    identity, effects = twin.link.command(Read((ENERGY,)), 5000, world.meter.now_ms)
    twin.act(effects)
    world.down(2)
    world.meter.link.answer(2, identity, 0, build_reading(1))
    world.step("answer", 2, identity, 0, build_reading(1), b"")
    world.pump()
    add_segments(world)
    add_the_rest(world)
    world.owner(7, 2, 3)
    world.append(build_reading(9))
    world.tick(1000)
    world.owner(8, 3)
    return world.steps


def build_encryption() -> dict[str, Any]:
    """Return what an encrypted session adds: the key of an epoch from `up`, and such a session."""
    key = hmac_sha256(KEY, b"metertwin/v1 cipher\x01")
    return {"keys": [[KEY.hex(), key.hex()]], "transcript": build_encrypted_transcript()}


def build_vectors() -> dict[str, Any]:
    """Return the content of the file."""
    labels = ("up", "down", "ctl")
    epoch_id = bytes(range(16))
    numbers = (0, 1, -1, 127, 128, -128, -129, 255, 65536, -(1 << 40), (1 << 247) - 1)
    return {
        "integers": [[str(number), encode_int(number).hex()] for number in numbers],
        "hmac": [[b"Jefe".hex(), b"what do ya want for nothing?".hex(),
                  hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex()]],
        "hkdf": [[MASTER.hex(), b"info".hex(), hkdf_sha256(MASTER, b"info").hex()]],
        "master": MASTER.hex(),
        "device": DEVICE,
        "meter_key": KEY.hex(),
        "epoch_keys": [
            [label, 3, epoch_id.hex(), derive_key(KEY, label, DEVICE, 3, epoch_id).hex()]
            for label in labels
        ] + [[label, 0, "00" * 16, derive_key(KEY, label, DEVICE).hex()]
             for label in ("owner", "hello")],
        "boot": BOOT,
        "description": DESCRIPTION.hex(),
        "incarnation": b"incarnat".hex(),
        "capacity": 12,
        "orders": build_order_vectors(DEVICE),
        "transcript": build_transcript(),
        "calendars": build_calendar_vectors(),
        "encryption": build_encryption(),
    }  # fmt: skip


def main() -> int:
    """Return 0 when the file is what the code makes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail on drift, write nothing")
    check = parser.parse_args().check
    text = json.dumps(build_vectors(), indent=1) + "\n"
    if not check:
        FILE.write_text(text)
    elif FILE.read_text() != text:
        print("wire/vectors/link-v1.json is not what the code makes: link v1 changed",
              file=sys.stderr)  # fmt: skip
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
