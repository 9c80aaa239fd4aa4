"""Throws bytes at both ends of the link: `python wire/fuzz/fuzz_link.py --seconds 60 [--seed N]`.

Random bytes, mutated real frames, and authentic frames with random fields (a peer that has the key
but a fault). Neither end may raise, grow, acknowledge what is not stored, or stop working.
"""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from meter_wire.effects import MeterHello, Send, StoreEntries
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable.entry import encode_reading, encode_register
from meter_wire.portable.keys import derive_key
from meter_wire.portable.tlv import field
from meter_wire.tables import FRAME_TYPES, REFUSALS, TAGS

REASONS = {row.name for row in REFUSALS}


def build_world(rng: random.Random) -> MemoryMeter:
    """Return a meter with an active and a candidate twin, in session."""
    meter = MemoryMeter("house-1", bytes(32), rng.randbytes)
    meter.ring.capacity = 50
    meter.send()
    hello = parse_owner_hello(meter.hellos[-1], derive_key(meter.key, "hello", "house-1"))
    meter.accept(meter.record(1, 1, nonce=hello.nonce))
    meter.accept(meter.record(2, 1, 2))
    meter.settle()
    return meter


def random_body(rng: random.Random) -> bytes:
    """Return fields that are well formed and otherwise arbitrary."""
    head = b""
    if rng.random() < 0.5:  # noqa: PLR2004 - a command that is in time
        head = field(29, rng.randbytes(4)) + field(30, b"\x7f" * 6)
    lengths = (0, 1, 2, 4, 8, 9, 16, rng.randrange(40))
    tags = rng.sample([row.number for row in TAGS if row.number not in (29, 30)], rng.randrange(20))
    return head + b"".join(field(tag, rng.randbytes(rng.choice(lengths))) for tag in tags)


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Return the data with some damage."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out) + 1)
        out[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(out)


def hit_meter(rng: random.Random, meter: MemoryMeter) -> None:
    """Give the meter one bad frame, or one bad owner record."""
    session = meter.twin(1).link._session  # noqa: SLF001 - a peer that has the key
    kind = rng.choice([*(row.number for row in FRAME_TYPES), rng.randrange(256)])
    choice = rng.randrange(4)
    if choice == 0 and session and kind != 0x82:  # noqa: PLR2004 - an authentic ACK may release
        frames = session.seal(kind, random_body(rng))
    elif choice == 1 and session:
        frames = [mutate(rng, session.welcome)]
    elif choice == 2:  # noqa: PLR2004
        meter.accept(mutate(rng, meter.record(3, 1, 2)))
        frames = []
    else:
        frames = [rng.randbytes(rng.randrange(800))]
    for frame in frames:
        meter.note(meter.link.receive(rng.choice((1, 1, 2, 3)), frame, meter.now_ms))


def hit_twin(rng: random.Random, meter: MemoryMeter) -> None:
    """Give a twin one bad frame."""
    twin = meter.twin(rng.choice((1, 2)))
    ends = [s for s in meter.link._sessions if s.epoch == twin.keys.epoch]  # noqa: SLF001
    choice = rng.randrange(3)
    if choice == 0 and ends and ends[0].nonces:
        payload = ends[0].seal(rng.randrange(256), random_body(rng))
    elif choice == 1 and meter.up:
        payload = mutate(rng, meter.up[0][1])
    else:
        payload = rng.randbytes(rng.randrange(800))
    effects = twin.link.receive(payload, meter.now_ms)
    hole = b"\x07\x09"
    authentic = (choice == 0 and hole in payload) or payload in {frame for _, frame in meter.up}
    keep = [e for e in effects if isinstance(e, Send | MeterHello)]
    stores = [e for e in effects if isinstance(e, StoreEntries)]
    if stores and not authentic:
        raise AssertionError(f"stored from garbage: {stores}")
    twin.act([*keep, *stores])


def check(meter: MemoryMeter) -> None:
    """Raise AssertionError when a rule is broken."""
    unknown = set(meter.link.refused) - REASONS
    for twin in meter.twins.values():
        unknown |= set(twin.link.refused) - REASONS
        twin.effects.clear()
    assert not unknown, unknown
    assert len(meter.link._queue) < 20  # noqa: PLR2004, SLF001
    meter.events.clear()


def run(seconds: float, seed: int) -> int:
    """Return the number of frames thrown; raises at a fault."""
    rng = random.Random(seed)
    end = time.monotonic() + seconds
    thrown = 0
    while time.monotonic() < end:
        meter = build_world(rng)
        for _ in range(200):
            rng.choice((hit_meter, hit_twin))(rng, meter)
            thrown += 1
            if rng.random() < 0.2:  # noqa: PLR2004
                entry = encode_reading(0, 1, 1, 1, [encode_register(bytes(6), thrown)])
                meter.ring.append(entry)
                meter.now_ms += 1000
                meter.send()
                while meter.up and rng.random() < 0.9:  # noqa: PLR2004
                    meter.deliver_up()
            check(meter)
        if meter.link.epochs != [1, 2]:
            raise AssertionError(f"epochs: {meter.link.epochs}")
    return thrown


def main() -> None:
    """Run and print what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    print(f"{run(options.seconds, options.seed)} frames, no fault")


if __name__ == "__main__":
    main()
