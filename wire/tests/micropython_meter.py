"""A meter's link on MicroPython behind stdin and stdout, for `test_link_on_micropython`.

Lines in: `owner LENGTH`, `down EPOCH LENGTH`, `tick MS`, `append COUNT`, `online`, the first two
followed by so many bytes. Each is answered by `up EPOCH LENGTH` with so many bytes and
`event NAME ID`, and ends with `done STORED FREE_BYTES`. Entries are made
from their number, so that the ring costs little of the heap that is being measured.
"""

import gc
import sys
from hashlib import sha256

from meter_wire.portable.entry import chain, encode_reading, encode_register
from meter_wire.portable.meter_link import MeterInfo, MeterLink

REGISTERS = 24


def make_entry(seq):
    registers = [
        encode_register(bytes([1, 0, n, 8, 0, 255]), seq * 1000 + n) for n in range(REGISTERS)
    ]
    return encode_reading(0, 1700000000 + 900 * seq, 900 * seq, 1, registers)


class Ring:
    incarnation = b"incarnat"
    oldest = 1
    head = 0
    stored = 0

    def __init__(self):
        self.anchors = bytearray(16 * 100)
        self.last = bytes(16)

    def append(self):
        self.head += 1
        self.anchors[16 * self.head - 16 : 16 * self.head] = self.last
        self.last = chain(self.last, self.incarnation, self.head, make_entry(self.head))

    def read(self, seq):
        return make_entry(seq), bytes(self.anchors[16 * seq - 16 : 16 * seq])

    def hole(self, seq):
        return seq, 3

    def release(self, stored, _archived):
        self.stored = stored


drawn = [0]


def random(length):
    drawn[0] += 1
    return sha256(b"%d" % drawn[0]).digest()[:length]


def main():  # noqa: C901 - one line of the protocol a branch
    ring = Ring()
    link = MeterLink("house-1", bytes(range(32)), ring, MeterInfo(1, "1.0.0", b""), random)
    now_ms = 0
    while True:
        words = sys.stdin.buffer.readline().decode().split()
        if not words:
            break
        event = None
        if words[0] == "owner":
            event = link.receive_owner(sys.stdin.buffer.read(int(words[1])), now_ms)
        elif words[0] == "down":
            event = link.receive(int(words[1]), sys.stdin.buffer.read(int(words[2])), now_ms)
        elif words[0] == "tick":
            now_ms += int(words[1])
        elif words[0] == "append":
            for _ in range(int(words[1])):
                ring.append()
        elif words[0] == "online":
            link.connected(now_ms)
        if event:
            print("event", event[0], event[2] if len(event) > 2 else 0)
            if event[0] == "read":
                link.answer(event[1], event[2], 0, make_entry(ring.head))
        while True:
            out = link.poll(now_ms)
            if out is None:
                break
            print("up", out[0], len(out[1]))
            sys.stdout.buffer.write(out[1])
        gc.collect()
        print("done", ring.stored, gc.mem_free())


main()
