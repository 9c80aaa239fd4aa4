"""The meter's session with the twin of one epoch: hello, window, acks, resending.

`meter_link` owns up to two of them over one ring. Go-back-N: unacknowledged frames are sent again
after a timeout that doubles; after some of them the session begins anew.
"""

from hashlib import sha256

from .constant import const
from .frame import (
    MIN_LIMIT,
    NO_NONCE,
    check_mac,
    fields_of,
    find_uint,
    need,
    need_uint,
    seal,
)
from .tlv import RemoteProtocolError, encode_length, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from meter_wire.ports import Aes

    from .frame_cipher import FrameCipher
    from .meter_link import MeterLink

_IDLE = const(0)
_GREETING = const(1)
OPEN = const(2)
CLOSING = const(3)

_FRAME_HELLO = const(0x01)
_FRAME_RECORDS = const(0x02)
_TAG_INCARNATION = const(1)
_TAG_OLDEST = const(2)
_TAG_HEAD = const(3)
_TAG_FIRST = const(4)
_TAG_ANCHOR = const(5)
_TAG_ENTRIES = const(6)
_TAG_HOLE = const(7)
_TAG_UPTIME_MS = const(8)
_TAG_BOOT = const(9)
_TAG_COUNT = const(10)
_TAG_METER_NONCE = const(11)
_TAG_TWIN_NONCE = const(12)
_TAG_DEVICE = const(13)
_TAG_FLOOR = const(14)
_TAG_HIGHEST = const(15)
_TAG_OWNER_COUNTER = const(16)
_TAG_FRAME_LIMIT = const(17)
_TAG_CAPABILITIES = const(18)
_TAG_CLOCK = const(19)
_TAG_FIRMWARE = const(20)
_TAG_STORE = const(21)
_TAG_STORED = const(22)
_TAG_ARCHIVED = const(23)
_TAG_RESUME = const(24)
_TAG_WINDOW = const(25)
_TAG_DIGEST = const(27)
_TAG_ITEM_LIMIT = const(52)
_TAG_CIPHER = const(53)

_TIMEOUT_MS = const(4000)
_MOST_DOUBLINGS = const(4)
_TRIES = const(3)
_HELLO_PAUSE_MS = const(5000)
_MOST_WINDOW = const(8)
_RECORDS_OVERHEAD = const(90)
_ENCRYPTION = const(0x40)
_CIPHER_AES = const(1)
_SMALL = const(0x3FFFFFFF)  # what is no larger takes no memory of its own on a board


class MeterSession:
    """State towards one epoch's twin."""

    def __init__(self, epoch: int, up: bytes, down: bytes) -> None:
        """`up`, `down`: keys of the two directions."""
        self.epoch = epoch
        self.up = up
        self.down = down
        self.store = b""
        self.hello_ms = -_HELLO_PAUSE_MS
        self.progress_ms = 0
        self.nudged = -1
        self.cipher: FrameCipher | None = None
        self.reset(0)

    def reset(self, due_ms: int) -> None:
        """Begin anew with a hello at `due_ms`."""
        self.state = _IDLE
        self.due_ms = due_ms
        self.meter_nonce = self.nonces = b""
        self.sent = self.heard = self.tries = 0
        self.next = 1
        self.mark = 0
        self.archived = 0
        self.flight: list[int] = []
        self.window = 1
        self.limit = MIN_LIMIT
        self.count = 0
        self.hold_ms: int | None = None
        self.is_encrypted = False

    def seal(self, kind: int, *body: bytes) -> bytes:
        """Return the next frame of this session."""
        self.sent += 1
        if self.is_encrypted:
            return self.cipher.seal(self.up, kind, self.sent, *body)  # type: ignore[union-attr]
        return seal(self.up, self.nonces, kind, self.sent, *body)

    def _delay_ms(self) -> int:
        delay_ms: int = _TIMEOUT_MS << min(self.tries, _MOST_DOUBLINGS)
        return delay_ms

    def nudge(self, payload: bytes, now_ms: int, dup: bool) -> None:
        """Say hello again, at most every five seconds: a twin asks for it.

        Raises:
            RemoteProtocolError: `malformed`, `mac`, or `replayed`: the last one once more.
        """
        twin_nonce = need(fields_of(payload), _TAG_TWIN_NONCE, 8)
        check_mac(self.down, NO_NONCE + twin_nonce, payload)
        nudge = int.from_bytes(twin_nonce[:4], "big") & _SMALL
        if nudge == self.nudged:
            raise RemoteProtocolError("duplicate" if dup else "replayed")
        self.nudged = nudge
        if self.state == OPEN:
            self.reset(now_ms)
        if self.state != CLOSING:
            self.due_ms = max(now_ms, self.hello_ms + _HELLO_PAUSE_MS)

    def hello(self, link: "MeterLink", now_ms: int) -> bytes:
        """Return HELLO, a new one or the last one again."""
        if self.state == _IDLE:
            self.state = _GREETING
            self.meter_nonce = link.random(8)
            self.count = link.next_hello()
        self.hello_ms = now_ms
        self.due_ms = now_ms + self._delay_ms()
        self.tries += 1
        info, ring, owner = link.info, link.ring, link.owner
        body = pack(
            _TAG_METER_NONCE, self.meter_nonce, _TAG_BOOT, info.boot, _TAG_COUNT, self.count,
            _TAG_DEVICE, link.device.encode(), _TAG_INCARNATION, ring.incarnation,
            _TAG_OLDEST, ring.oldest, _TAG_HEAD, ring.head,
            _TAG_FLOOR, owner.active if owner else 0,
            _TAG_HIGHEST, owner.highest if owner else 0,
            _TAG_OWNER_COUNTER, owner.counter if owner else 0,
            _TAG_UPTIME_MS, now_ms, _TAG_FRAME_LIMIT, info.frame_limit,
            _TAG_ITEM_LIMIT, info.item_limit,
            _TAG_CAPABILITIES, info.capabilities | (_ENCRYPTION if info.aes else 0),
            _TAG_CLOCK, info.clock_state, _TAG_FIRMWARE, info.firmware.encode(),
            _TAG_DIGEST, sha256(info.description).digest()[:8],
        )  # fmt: skip
        return seal(self.up, self.meter_nonce + NO_NONCE, _FRAME_HELLO, 0, body)

    def welcome(
        self,
        payload: bytes,
        counter: int,
        head: int,
        own_limit: int,
        dup: bool,
        aes: "Aes | None" = None,
    ) -> dict[int, bytes]:
        """Open the session, encrypted if the twin does; return the fields of WELCOME.

        Raises:
            RemoteProtocolError: `malformed`, `mac` or `replayed`.
        """
        if not self.meter_nonce:
            raise RemoteProtocolError("no_session")
        fields = fields_of(payload)
        nonces = self.meter_nonce + need(fields, _TAG_TWIN_NONCE, 8)
        check_mac(self.down, nonces, payload)
        if self.state != _GREETING:
            raise RemoteProtocolError("duplicate" if dup else "replayed")
        store = need(fields, _TAG_STORE, 8)
        resume = need_uint(fields, _TAG_RESUME)
        limit = need_uint(fields, _TAG_FRAME_LIMIT)
        window = need_uint(fields, _TAG_WINDOW)
        cipher = find_uint(fields, _TAG_CIPHER, 1)
        if not resume or not window or limit < MIN_LIMIT or cipher > (_CIPHER_AES if aes else 0):
            raise RemoteProtocolError("malformed")
        if cipher and aes:
            if not self.cipher:
                from .frame_cipher import FrameCipher  # noqa: PLC0415 - costs heap only when needed

                self.cipher = FrameCipher(aes, self.up)
            self.cipher.begin(nonces)
            self.is_encrypted = True
        self.state = OPEN
        self.nonces = nonces
        self.heard = counter
        self.store = store
        self.next = min(resume, head + 1)
        self.mark = self.next - 1
        self.window = min(window, _MOST_WINDOW)
        self.limit = min(limit, own_limit)
        self.tries = 0
        return fields

    def ack(self, fields: dict[int, bytes], incarnation: bytes, head: int, now_ms: int) -> None:
        """Take the marks of ACK; those beyond the head count as the head.

        Raises:
            RemoteProtocolError: `malformed`, or `bounds`: another store or a falling mark.
        """
        stored = min(need_uint(fields, _TAG_STORED), head)
        archived = min(find_uint(fields, _TAG_ARCHIVED), stored)
        if (
            need(fields, _TAG_STORE, 8) != self.store
            or need(fields, _TAG_INCARNATION, 8) != incarnation
            or stored < self.mark
            or archived < self.archived
        ):
            raise RemoteProtocolError("bounds")
        self.archived = archived
        if stored > self.mark:
            self.progress_ms = now_ms
            self.tries = 0
            self.due_ms = now_ms + _TIMEOUT_MS
        self.mark = stored
        self.flight = [last for last in self.flight if last > stored]
        self.next = max(self.next, stored + 1)

    def poll(self, link: "MeterLink", now_ms: int) -> "bytes | None":
        """Return the next frame that this session owes by itself: hello or records."""
        if self.state < OPEN:
            return self.hello(link, now_ms) if now_ms >= self.due_ms else None
        if self.state == CLOSING:
            return None
        if self.flight and now_ms >= self.due_ms:
            self.tries += 1
            if self.tries > _TRIES:
                self.reset(now_ms)
                return self.hello(link, now_ms)
            self.flight = []
            self.next = self.mark + 1
        if self.next > link.ring.head:
            self.hold_ms = None
            if not self.flight:
                self.progress_ms = now_ms
            return None
        if self.hold_ms is None:
            self.hold_ms = now_ms + link.spread_delay_ms()
        if now_ms < self.hold_ms or len(self.flight) >= self.window:
            return None
        if not self.flight:
            self.due_ms = now_ms + self._delay_ms()
        body = self._records(link, now_ms)
        self.flight.append(self.next - 1)
        return self.seal(_FRAME_RECORDS, *body)

    def _records(self, link: "MeterLink", now_ms: int) -> list[bytes]:
        ring = link.ring
        body = pack(
            _TAG_INCARNATION, ring.incarnation, _TAG_UPTIME_MS, now_ms, _TAG_OLDEST, ring.oldest
        )  # fmt: skip
        first = self.next
        got = ring.read(first)
        if got is None:
            last, reason = ring.hole(first)
            hole = first.to_bytes(4, "big") + last.to_bytes(4, "big") + bytes([reason])
            body += pack(_TAG_HOLE, hole)
            self.next = first = last + 1
            got = ring.read(first) if first <= ring.head else None
            if got is None:
                return [body]
        body += pack(_TAG_FIRST, first, _TAG_ANCHOR, got[1])
        limit = min(self.limit, link.info.records_limit)
        # in one piece: many small ones fragment a small heap
        entries = bytearray(min(limit, (ring.head + 1 - first) * (len(got[0]) + 2)))
        total = 0
        room = limit - _RECORDS_OVERHEAD
        while got is not None:
            room -= len(got[0]) + 2
            if total and room < 0:
                break
            entry = encode_length(len(got[0])) + got[0]
            entries[total : total + len(entry)] = entry
            total += len(entry)
            self.next += 1
            got = ring.read(self.next) if self.next <= ring.head else None
        head = body + bytes([_TAG_ENTRIES]) + encode_length(total)
        return [head, bytes(memoryview(entries)[:total])]
