"""Replays wire/vectors/link-v1.json on the meter's end: `run(vectors)` returns what failed.

Without pytest, so that MicroPython takes the same file; `test_link_vectors.py` runs it on both.
"""

from hashlib import sha256

from meter_wire.portable.entry import chain, chain_hole
from meter_wire.portable.keys import derive_key, hkdf_sha256, hmac_sha256
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from meter_wire.portable.order import Order, judge, verifier
from meter_wire.portable.tariff_calendar import parse_calendar
from meter_wire.portable.tlv import RemoteProtocolError, encode_int, parse_int

try:
    from cryptolib import aes
except ImportError:  # CPython
    from meter_wire.libcrypto_aes import aes


class Ring:
    """Like MemoryRing, for both Pythons."""

    def __init__(self, incarnation, capacity):
        self.incarnation = incarnation
        self.capacity = capacity
        self.oldest = 1
        self.head = 0
        self.stored = 0
        self.held = {}
        self.reserved = (0, 0)
        self.lost = 0
        self.last = bytes(16)

    def append(self, entry):
        self.head += 1
        self.held[self.head] = (entry, self.last)
        self.last = chain(self.last, self.incarnation, self.head, entry)
        if len(self.held) > self.capacity:
            del self.held[self.oldest]
            if self.oldest > self.stored:
                self.lost = self.oldest
            self.oldest += 1

    def reserve(self, count):
        self.reserved = (self.head + 1, self.head + count)
        self.head += count
        self.last = chain_hole(self.last, self.incarnation, *self.reserved)

    def read(self, seq):
        return self.held.get(seq)

    def hole(self, seq):
        if self.reserved[0] <= seq <= self.reserved[1]:
            return self.reserved[1], 2
        if seq <= self.lost:
            return self.lost, 1
        return self.oldest - 1, 3

    def release(self, stored, _archived):
        self.stored = stored


class Draw:
    def __init__(self):
        self.count = 0

    def __call__(self, length):
        self.count += 1
        return sha256(f"meter{self.count}".encode()).digest()[:length]


def unhex(text):
    return bytes.fromhex(text)


def check_functions(vectors):
    key = unhex(vectors["meter_key"])
    device = vectors["device"]
    for number, encoded in vectors["integers"]:
        if encode_int(int(number)) != unhex(encoded) or parse_int(unhex(encoded)) != int(number):
            yield "integer " + number
    for secret, message, mac in vectors["hmac"]:
        if hmac_sha256(unhex(secret), unhex(message)) != unhex(mac):
            yield "hmac"
    for secret, info, okm in vectors["hkdf"]:
        if hkdf_sha256(unhex(secret), unhex(info)) != unhex(okm):
            yield "hkdf"
    for label, epoch, epoch_id, derived in vectors["epoch_keys"]:
        if derive_key(key, label, device, epoch, unhex(epoch_id)) != unhex(derived):
            yield "key " + label


def check_cipher(vectors):
    for secret, derived in vectors["encryption"]["keys"]:
        if hmac_sha256(unhex(secret), b"metertwin/v1 cipher", b"\x01") != unhex(derived):
            yield "key of a cipher"


def check_orders(vectors):
    orders = vectors["orders"]
    meter = orders["meter"]
    genuine = verifier(unhex(orders["public_key"]))
    for name, data, signature, verdict in orders["rows"]:
        found = "unsigned"
        if genuine(unhex(data), unhex(signature)):
            try:
                found = judge(
                    Order(unhex(data)), vectors["device"], meter["last_counter"],
                    unhex(meter["incarnation"]), meter["utc_s"], meter["boot"], meter["uptime_s"],
                )  # fmt: skip
            except RemoteProtocolError as error:
                found = error.args[0]
        if found != verdict:
            yield "order " + name


def check_calendars(vectors):
    for name, data, expected in vectors["calendars"]:
        try:
            calendar, switches, offsets = parse_calendar(unhex(data))
            found = [calendar, [list(row) for row in switches], [list(row) for row in offsets]]
            wanted = [unhex(expected[0]), expected[1], expected[2]]
        except RemoteProtocolError as error:
            found, wanted = error.args[0], expected
        if found != wanted:
            yield "calendar " + name


def check_transcript(vectors, transcript, aes=None):  # noqa: C901 - one line a kind of step
    ring = Ring(unhex(vectors["incarnation"]), vectors["capacity"])
    info = MeterInfo(vectors["boot"], "1.0.0", unhex(vectors["description"]))
    info.aes = aes
    genuine = verifier(unhex(vectors["orders"]["public_key"]))
    link = MeterLink(
        vectors["device"], unhex(vectors["meter_key"]), ring, info, Draw(), b"", genuine
    )
    now_ms = 0
    link.connected(now_ms)
    for position, step in enumerate(transcript):
        kind = step[0]
        good = True
        if kind == "up":
            good = link.poll(now_ms) == (step[1], unhex(step[2]))
        elif kind == "down":
            event = link.receive(step[1], unhex(step[2]), now_ms)
            good = (event[0] if event else "") == step[3]
        elif kind == "owner":
            good = (link.receive_owner(unhex(step[1]), now_ms) is not None) == step[2]
        elif kind == "append":
            ring.append(unhex(step[1]))
        elif kind == "reserve":
            ring.reserve(step[1])
        elif kind == "tick":
            now_ms += step[1]
        elif kind == "answer":
            link.answer(step[1], step[2], step[3], unhex(step[4]), unhex(step[5]))
        elif kind == "live":
            good = link.live(step[1], step[2], unhex(step[3]))
        else:
            good = False
        if not good:
            yield f"step {position} {kind}"
    if link.poll(now_ms) is not None:
        yield "more than the transcript"


def run(vectors):
    failures = []
    for check in (check_functions, check_cipher, check_orders, check_calendars):
        failures += check(vectors)
    failures += check_transcript(vectors, vectors["transcript"])
    return failures + list(check_transcript(vectors, vectors["encryption"]["transcript"], aes))
