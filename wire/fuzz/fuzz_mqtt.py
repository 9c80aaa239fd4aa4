"""Fuzz the MQTT codec: random and corrupted bytes, random splits; only RemoteProtocolError.

    python wire/fuzz/fuzz_mqtt.py --seconds 60 [--seed 1]

With `atheris` installed, `--atheris` hands the same target to libFuzzer. A failure prints the
seed and the bytes. Neighbour: `wire/tests/test_mqtt_codec.py`.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time

from meter_wire.portable import mqtt
from meter_wire.portable.mqtt_packet import RemoteProtocolError

LIMIT = 512
SEEDS = (
    b"\x30\x05\x00\x01axy",
    b"\x32\x06\x00\x01b\x01\x02z",
    b"\x90\x04\x00\x01\x00\x80",
    b"\x40\x02\x00\x02",
    b"\xb0\x02\x00\x03",
    b"\xd0\x00",
    b"\x20\x02\x00\x00",
)


def target(data: bytes, sizes: random.Random) -> None:
    """Feed `data` in chunks to a connection with every kind of packet in flight.

    Raises:
        AssertionError: a buffer beyond its cap, or an error state that is not final.
    """
    connection = mqtt.Connection("fuzz", max_packet=LIMIT)
    connection.connect(0)
    connection.receive_data(b"\x20\x02\x00\x00", 0)
    connection.next_event()
    connection.subscribe((("a", 1), ("b", 0)), 0)
    connection.publish("a", b"", 1, False, 0)
    connection.unsubscribe(("a",), 0)
    connection.poll(40_000)
    try:
        while data:
            size = sizes.randint(1, LIMIT)
            connection.receive_data(data[:size], 40_000)
            data = data[size:]
            while connection.next_event() is not None:
                pass
            assert len(connection._buffer) <= LIMIT  # noqa: SLF001
    except RemoteProtocolError:
        assert connection.state == mqtt.ERROR


def make_input(chance: random.Random) -> bytes:
    """Return some packets with some bytes changed, left out or put in."""
    data = bytearray(b"".join(chance.choices(SEEDS, k=chance.randint(0, 12))))
    for _ in range(chance.randint(0, 6)):
        place = chance.randint(0, len(data))
        data[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(data)


def run_atheris() -> None:
    """Run libFuzzer on the target; does not return."""
    atheris = importlib.import_module("atheris")  # optional
    atheris.Setup(sys.argv[:1], lambda data: target(data, random.Random(len(data))))
    atheris.Fuzz()


def main() -> int:
    """Fuzz for the given time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--atheris", action="store_true")
    options = parser.parse_args()
    if options.atheris:
        run_atheris()
    chance, runs, end = random.Random(options.seed), 0, time.monotonic() + options.seconds
    while time.monotonic() < end:
        data = make_input(chance)
        try:
            target(data, chance)
        except Exception:
            print(f"seed {options.seed}, input {data.hex()}")
            raise
        runs += 1
    print(f"{runs} inputs, seed {options.seed}: no failure")
    return 0


if __name__ == "__main__":
    sys.exit(main())
