"""Encrypted sessions: what is on the wire, who decides, and what an attacker can do about it."""

import json
import pathlib
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from meter_wire.commands import Forward, Read
from meter_wire.effects import Answered, MeterHello, Refused, Send
from meter_wire.libcrypto_aes import aes
from meter_wire.memory import MemoryMeter
from meter_wire.owner_record import parse_owner_hello
from meter_wire.portable.entry import encode_reading, encode_register
from meter_wire.portable.frame import NO_NONCE, fields_of, seal
from meter_wire.portable.frame_cipher import FrameCipher
from meter_wire.portable.keys import derive_key
from meter_wire.portable.tlv import RemoteProtocolError, pack

VECTORS = json.loads(
    (pathlib.Path(__file__).parents[1] / "vectors/link-v1.json").read_text()
)  # fmt: skip
CLEAR = {0x01, 0x81, 0x83}
"""Types that are never encrypted: hello, welcome, nudge."""
ENERGY = b"\x01\x00\x01\x08\x00\xff"
SECRET = 0x5EC2E7_5EC2E7
CAPABILITIES, CIPHER, TWIN_NONCE, METER_NONCE = 18, 53, 12, 11


def decrypt(up, nonces, payload):
    """Decrypt a frame by another library and by the text of the reference."""
    secret = HKDFExpand(SHA256(), 32, b"metertwin/v1 cipher").derive(up)
    block = sha256(nonces).digest()[:10] + payload[1:6] + bytes(1)
    cipher = Cipher(algorithms.AES256(secret), modes.CTR(block)).decryptor()
    return payload[:6] + cipher.update(payload[6:-16]) + payload[-16:]


class World(MemoryMeter):
    """A meter with one twin, and all frames that crossed the wire."""

    def __init__(self, meter_aes=aes, twin_aes=aes):
        drawn = iter(range(1, 1000))
        super().__init__("house-1", bytes(32), lambda n: next(drawn).to_bytes(n, "big"))
        self.aes = meter_aes
        self.twin(1).aes = twin_aes
        self.frames = []
        self.reboot()
        self.send()
        hello = parse_owner_hello(self.hellos[-1], derive_key(self.key, "hello", "house-1"))
        assert self.accept(self.record(1, 1, nonce=hello.nonce))
        self.settle()

    def deliver_up(self, *, dup=False):
        self.frames.append(self.up[0][1])
        super().deliver_up(dup=dup)

    def deliver_down(self, epoch, *, dup=False):
        self.frames.append(self.twin(epoch).down[0])
        super().deliver_down(epoch, dup=dup)

    def key_of(self, direction):
        return derive_key(self.key, direction, "house-1", 1, self.epoch_id(1))

    def nonces(self):
        hello, welcome = (
            [f for f in self.frames if f[1] == kind][-1] for kind in (0x01, 0x81)
        )  # fmt: skip
        return fields_of(hello)[METER_NONCE] + fields_of(welcome)[TWIN_NONCE]

    def record_reading(self):
        entry = encode_reading(0, 1_700_000_000, 7, 1, [encode_register(ENERGY, SECRET)])
        self.ring.append(entry)
        self.settle()
        return entry


def test_no_reading_and_no_command_is_readable_on_the_wire():
    world = World()
    entry = world.record_reading()
    _, effects = world.twin(1).link.command(Forward(b"turn the heating on"), 5000, 0)
    world.twin(1).act(effects)
    world.settle()
    assert world.events[-1][0] == "forward"
    assert world.events[-1][3] == b"turn the heating on"
    assert list(world.twin(1).journal.entries.values()) == [entry]
    wire = b"".join(world.frames)
    assert entry[3:] not in wire
    assert SECRET.to_bytes(6, "big") not in wire
    assert b"heating" not in wire


def test_the_same_is_readable_without_encryption():
    world = World(meter_aes=None)
    entry = world.record_reading()
    assert entry in b"".join(world.frames)


def test_another_library_reads_the_frames_by_the_reference():
    world = World()
    entry = world.record_reading()
    records = [f for f in world.frames if f[1] == 0x02][-1]
    acknowledged = [f for f in world.frames if f[1] == 0x82][-1]
    assert entry in decrypt(world.key_of("up"), world.nonces(), records)
    plain = fields_of(decrypt(world.key_of("up"), world.nonces(), acknowledged))
    assert plain[22] == b"\x01"  # stored


def test_another_library_reads_the_vectors():
    key = bytes.fromhex(VECTORS["meter_key"])
    up = derive_key(key, "up", "house-1", 2, (2).to_bytes(16, "big"))
    nonces, seen = {}, set()
    for step in VECTORS["encryption"]["transcript"]:
        if step[0] not in ("up", "down") or step[1] != 2:
            continue
        payload = bytes.fromhex(step[2])
        kind = payload[1]
        if kind in CLEAR:
            nonces[kind] = fields_of(payload).get(METER_NONCE if kind == 1 else TWIN_NONCE)
            continue
        both = nonces[0x01] + nonces[0x81]
        plain = decrypt(up, both, payload)
        assert fields_of(plain)
        seen.add(kind)
    assert seen >= {0x02, 0x03, 0x04, 0x05, 0x07, 0x82, 0x84, 0x8B, 0x89}


def test_a_frame_is_as_long_as_without():
    lengths = []
    for meter_aes in (aes, None):
        world = World(meter_aes=meter_aes)
        world.record_reading()
        lengths.append([len(f) for f in world.frames if f[1] not in CLEAR])
    assert lengths[0] == lengths[1]


def test_each_epoch_has_a_key_and_each_frame_a_keystream_of_its_own():
    streams = set()
    for up in (b"1" * 32, b"2" * 32):
        cipher = FrameCipher(aes, up)
        for nonces in (bytes(16), bytes(15) + b"1"):
            cipher.begin(nonces)
            for kind in (0x02, 0x82):
                for counter in (7, 8, 0x107):
                    frame = cipher.seal(bytes(32), kind, counter, bytes(64))
                    assert cipher.open(frame)[6:-16] == bytes(64)
                    streams.update(bytes(frame[at : at + 16]) for at in range(6, 70, 16))
    assert len(streams) == 2 * 2 * 2 * 3 * 4


def test_a_twin_without_aes_is_served_in_the_clear():
    world = World(twin_aes=None)
    assert not world.twin(1).link.is_encrypted
    entry = world.record_reading()
    assert list(world.twin(1).journal.entries.values()) == [entry]


def test_a_meter_that_does_not_ask_is_not_encrypted():
    world = World(meter_aes=None)
    assert world.twin(1).link.is_open
    assert not world.twin(1).link.is_encrypted


def test_the_twin_says_whether_the_session_is_encrypted():
    world = World()
    assert world.twin(1).link.is_encrypted
    hello = [e for e in world.twin(1).effects if isinstance(e, MeterHello)]
    assert hello[-1].capabilities == 0x40
    world.twin(1).restart()
    assert not world.twin(1).link.is_encrypted


def test_nobody_between_can_switch_it_off():
    world = World()
    hello = [f for f in world.frames if f[1] == 0x01][-1]
    fields = fields_of(hello)
    assert fields[CAPABILITIES] == b"\x40"
    stripped = hello.replace(pack(CAPABILITIES, 0x40), pack(CAPABILITIES, 0))
    assert stripped != hello
    world.twin(1).restart()
    assert Refused("mac") in world.twin(1).link.receive(stripped, 0)
    assert not world.twin(1).link.is_open
    world.reboot()
    world.send()
    world.deliver_up()
    (welcome,) = world.twin(1).down
    assert fields_of(welcome)[CIPHER] == b"\x01"
    world.link.receive(1, welcome.replace(pack(CIPHER, 1), b""), 0)
    assert world.link.refused == {"mac": 1}
    assert not world.link.serves()
    world.link.receive(1, welcome, 0)
    assert world.link.serves()


@pytest.mark.parametrize(("meter_aes", "cipher"), [(aes, 2), (aes, 200), (None, 1)])
def test_a_cipher_that_the_meter_did_not_offer_is_refused(meter_aes, cipher):
    world = World(meter_aes=meter_aes)
    world.reboot()
    world.send()
    _, hello = world.up.popleft()
    nonce = b"twins..."
    fields = fields_of([f for f in world.frames if f[1] == 0x81][-1])
    fields[TWIN_NONCE], fields[CIPHER] = nonce, bytes([cipher])
    body = b"".join(pack(tag, value) for tag, value in fields.items())
    nonces = fields_of(hello)[METER_NONCE] + nonce
    world.link.receive(1, seal(world.key_of("down"), nonces, 0x81, 1, body), 0)
    assert world.link.refused == {"malformed": 1}
    assert not world.link.serves()


def test_a_frame_in_the_clear_is_no_frame_of_an_encrypted_session():
    """The MAC of its holder is right, but what is deciphered is none of the protocol's fields."""
    body = pack(29, 1, 30, 1 << 40, 35, 3, 36, b"\x01", 37, 0, 38, 60)
    for meter_aes, expected in ((aes, None), (None, ("write", 1, 1, 3, 0, 1, 60))):
        world = World(meter_aes=meter_aes)
        frame = seal(world.key_of("down"), world.nonces(), 0x86, 99, body)
        assert world.link.receive(1, frame, 0) == expected


def test_more_fields_than_blocks_have_numbers_are_refused():
    cipher = FrameCipher(aes, bytes(32))
    cipher.begin(bytes(16))
    assert len(cipher.seal(bytes(32), 2, 1, bytes(4096))) == 6 + 4096 + 16
    with pytest.raises(RemoteProtocolError, match="oversized"):
        cipher.seal(bytes(32), 2, 1, bytes(4097))


def test_a_changed_or_repeated_frame_is_refused_before_it_is_deciphered():
    deciphered = []

    class Counted(aes):
        def encrypt(self, data, into):
            deciphered.append(bytes(data))
            super().encrypt(data, into)

    world = World(twin_aes=Counted)
    world.ring.append(encode_reading(0, 1_700_000_000, 7, 1, [encode_register(ENERGY, 1)]))
    world.send()
    _, frame = world.up[0]
    changed = frame[:9] + bytes([frame[9] ^ 1]) + frame[10:]
    twin = world.twin(1).link
    before = len(deciphered)
    assert Refused("mac") in twin.receive(changed, 0)
    assert len(deciphered) == before
    world.settle()
    before = len(deciphered)
    assert twin.receive(bytes(frame), 0) == [Refused("replayed")]
    assert twin.receive(bytes(frame), 0, dup=True) == [Refused("duplicate")]
    assert len(deciphered) == before


def test_a_command_is_answered_through_an_encrypted_session():
    world = World()
    twin = world.twin(1)
    identity, effects = twin.link.command(Read((ENERGY,)), 5000, 0)
    twin.act(effects)
    world.settle()
    assert world.events[-1][:3] == ("read", 1, identity)
    world.link.answer(1, identity, 0, encode_reading(0, 0, 7, 1, [encode_register(ENERGY, 5)]))
    world.settle()
    answers = [e for e in twin.effects if isinstance(e, Answered)]
    assert answers[-1].code == "ok"


def test_a_nudge_is_in_the_clear():
    world = World()
    world.twin(1).restart()
    (nudge,) = world.twin(1).link.connected(0)
    assert isinstance(nudge, Send)
    assert set(fields_of(nudge.payload)) == {TWIN_NONCE}
    assert seal(world.key_of("down"), NO_NONCE + fields_of(nudge.payload)[TWIN_NONCE], 0x83, 0,
                pack(TWIN_NONCE, fields_of(nudge.payload)[TWIN_NONCE])) == nudge.payload  # fmt: skip


def test_aes_is_that_of_fips_197():
    block = bytearray(bytes.fromhex("00112233445566778899aabbccddeeff"))
    aes(bytes(range(32)), 1).encrypt(block, block)
    assert block.hex() == "8ea2b7ca516745bfeafc49904b496089"  # appendix C.3


@pytest.mark.parametrize(("key", "mode"), [(bytes(16), 1), (bytes(32), 2), (b"", 1)])
def test_aes_refuses_other_keys_and_modes(key, mode):
    with pytest.raises(ValueError, match="aes: only ECB"):
        aes(key, mode)


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_aes_refuses_what_is_no_block(length):
    with pytest.raises(ValueError, match="16 bytes"):
        aes(bytes(32), 1).encrypt(bytearray(length), bytearray(16))
    with pytest.raises(ValueError, match="16 bytes"):
        aes(bytes(32), 1).encrypt(bytearray(16), bytearray(length))
