"""One session of the twin with the meter: nonces, counters, frames. Part of `twin_link`."""

from typing import NamedTuple

from meter_wire.effects import Farewell, MeterHello
from meter_wire.entries import parse_text
from meter_wire.portable.frame import (
    MIN_LIMIT,
    NO_NONCE,
    check_mac,
    find_uint,
    need,
    need_uint,
    seal,
)
from meter_wire.portable.segments import Assembler, split
from meter_wire.portable.tlv import RemoteProtocolError, pack
from meter_wire.ports import Aes
from meter_wire.tables import CAPABILITIES, FRAME_TYPES, TAGS, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_wire.portable.frame_cipher import FrameCipher

_TAGS = {row.name: row.number for row in TAGS}
_SEGMENT_DOWN = number_of(FRAME_TYPES, "segment_down")
_ENCRYPTION = number_of(CAPABILITIES, "encryption")
CIPHER_AES = 1
_OVERHEAD = 22


class EpochKeys(NamedTuple):
    """The twin's part of keys.json."""

    epoch: int
    up: bytes
    down: bytes


class Hello(NamedTuple):
    """A parsed HELLO, authentic if `check` did not raise."""

    meter_nonce: bytes
    incarnation: bytes
    number: tuple[int, int]
    device: str
    frame_limit: int
    item_limit: int
    digest: bytes
    fields: dict[int, bytes]

    @property
    def wants_encryption(self) -> bool:
        """Whether the meter wants its frames encrypted."""
        return bool(self.uint("capabilities") & _ENCRYPTION)

    def uint(self, name: str, octets: int = 4) -> int:
        """Return a number of HELLO, 0 if it is absent."""
        return find_uint(self.fields, _TAGS[name], octets)


def parse_hello(fields: dict[int, bytes]) -> Hello:
    """Return HELLO.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    limit = need_uint(fields, _TAGS["frame_limit"])
    if limit < MIN_LIMIT:
        raise RemoteProtocolError("malformed")
    return Hello(
        meter_nonce=need(fields, _TAGS["meter_nonce"], 8),
        incarnation=need(fields, _TAGS["incarnation"], 8),
        number=(need_uint(fields, _TAGS["boot"]), need_uint(fields, _TAGS["count"])),
        device=parse_text(need(fields, _TAGS["device"])),
        frame_limit=limit,
        item_limit=find_uint(fields, _TAGS["item_limit"]),
        digest=need(fields, _TAGS["digest"], 8),
        fields=fields,
    )


class TwinSession:
    """Nonces and counters between one HELLO and the next."""

    def __init__(self, keys: EpochKeys, hello: Hello, twin_nonce: bytes, own_limit: int) -> None:
        """`own_limit`: longest frame that this side wants to send."""
        self.hello = hello
        self.twin_nonce = twin_nonce
        self.assembler = Assembler()
        self.welcome = b""
        self.uptime_offset_ms = 0
        self._keys = keys
        self._nonces = hello.meter_nonce + twin_nonce
        self._limit = min(hello.frame_limit, own_limit)
        self._sent = 0
        self._heard = 0
        self._item = 0
        self._cipher: FrameCipher | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether frames after WELCOME are encrypted."""
        return self._cipher is not None

    def encrypt(self, aes: Aes) -> None:
        """Encrypt all frames from now on; WELCOME has gone."""
        from meter_wire.portable.frame_cipher import FrameCipher  # noqa: PLC0415 - of few meters

        self._cipher = FrameCipher(aes, self._keys.up)
        self._cipher.begin(self._nonces)

    def seal(self, kind: int, body: bytes) -> list[bytes]:
        """Return the next frame, or the segments of one that is too long.

        Raises:
            ValueError: the meter takes no item of this length.
        """
        bodies = [body]
        if len(body) + _OVERHEAD > self._limit:
            if len(body) > self.hello.item_limit:
                raise ValueError(f"body: {len(body)} bytes; the meter takes segments of up to "
                                 f"{self.hello.item_limit}")  # fmt: skip
            self._item = (self._item + 1) & 0xFFFF
            bodies = split(kind, body, self._limit, self._item)
            kind = _SEGMENT_DOWN
        frames = []
        for part in bodies:
            self._sent += 1
            frames.append(self._seal(kind, part))
        return frames

    def _seal(self, kind: int, body: bytes) -> bytes:
        if self._cipher:
            return bytes(self._cipher.seal(self._keys.down, kind, self._sent, body))
        return seal(self._keys.down, self._nonces, kind, self._sent, body)

    def open(self, payload: bytes, counter: int, *, dup: bool) -> bytes:
        """Return a frame with plain fields; refuse one that is not authentic or not new.

        Raises:
            RemoteProtocolError: `mac`, `replayed` or `duplicate`.
        """
        check_mac(self._keys.up, self._nonces, payload)
        if counter <= self._heard:
            raise RemoteProtocolError("duplicate" if dup else "replayed")
        self._heard = counter
        return self._cipher.open(payload) if self._cipher else payload

    def note_uptime(self, uptime_ms: int, now_ms: int) -> None:
        """Remember the meter's uptime, which was at least `uptime_ms` at `now_ms`."""
        self.uptime_offset_ms = uptime_ms - now_ms


def check_hello(keys: EpochKeys, payload: bytes, hello: Hello, device: str) -> None:
    """Refuse a HELLO that is not this meter's.

    Raises:
        RemoteProtocolError: `mac` or `device`.
    """
    check_mac(keys.up, hello.meter_nonce + NO_NONCE, payload)
    if hello.device != device:
        raise RemoteProtocolError("device")


def parse_farewell(fields: dict[int, bytes]) -> Farewell:
    """Return FAREWELL.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    return Farewell(
        retired=need_uint(fields, _TAGS["retired"]),
        active=need_uint(fields, _TAGS["active"]),
        incarnation=need(fields, _TAGS["incarnation"], 8),
        head=find_uint(fields, _TAGS["head"]),
        owner_counter=need_uint(fields, _TAGS["owner_counter"]),
    )


def build_meter_hello(hello: Hello) -> MeterHello:
    """Return the effect of an accepted HELLO."""
    return MeterHello(
        device=hello.device,
        incarnation=hello.incarnation,
        number=hello.number,
        boot=hello.number[0],
        uptime_ms=hello.uint("uptime_ms", 8),
        oldest=hello.uint("oldest"),
        head=hello.uint("head"),
        floor=hello.uint("floor"),
        highest=hello.uint("highest"),
        owner_counter=hello.uint("owner_counter"),
        clock_state=hello.uint("clock", 1),
        capabilities=hello.uint("capabilities"),
        firmware=parse_text(hello.fields.get(_TAGS["firmware"], b"")),
    )


def build_welcome(
    twin_nonce: bytes,
    store_id: bytes,
    marks: tuple[bytes, int, int],
    frame_limit: int,
    window: int,
    *,
    wanted: bool,
    utc_ms: int | None,
    encrypted: bool,
) -> bytes:
    """Return the fields of WELCOME; `marks`: incarnation, stored, archived."""
    incarnation, stored, archived = marks
    return pack(
        _TAGS["twin_nonce"], twin_nonce, _TAGS["store"], store_id,
        _TAGS["incarnation"], incarnation, _TAGS["resume"], stored + 1,
        _TAGS["stored"], stored, _TAGS["archived"], archived,
        _TAGS["frame_limit"], frame_limit, _TAGS["window"], window,
        _TAGS["wanted"], int(wanted), *((_TAGS["utc_ms"], utc_ms) if utc_ms else ()),
        *((_TAGS["cipher"], CIPHER_AES) if encrypted else ()),
    )  # fmt: skip
