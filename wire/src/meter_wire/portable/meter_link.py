"""The meter's end of link version 1: up to two epochs over one ring, no I/O and no clock.

The shell feeds what arrives and `now_ms`, and polls for what to publish:

    link = MeterLink(device, k_meter, ring, info, os.urandom, owner)
    link.connected(now_ms)                     # the broker session is up, `epochs` subscribed
    event = link.receive(epoch, payload, now_ms, retained, dup)      # topic .../<epoch>/down
    event = link.receive_owner(payload, now_ms)                      # topic mt/<device>/owner
    while (out := link.poll(now_ms)):          # (epoch, payload); epoch 0 is mt/<device>/hello
        publish(out)

`now_ms` is the meter's uptime in milliseconds, which never wraps (`clock.Uptime` makes it from
ticks). Subscribe to the `down` topics of `link.epochs` whenever an event arrived or poll gave
something: the list changes by owner records and farewells. When `link.reread` is true, subscribe
to `mt/<device>/owner` again and clear it. Nothing is deleted at an ack: marks are handed to
`ring.release`, and only for the active epoch.

Events are tuples:
    ("read", epoch, id, codes or None)            answer with link.answer(..., entry=)
    ("subscribe", epoch, id, codes or None, period_s, duration_s)   link.answer, then link.live
    ("write", epoch, id, target, index, value, seconds)
    ("order", epoch, id, order, signature)          the signature is genuine
    ("forward", epoch, id, data)                  answer with data=
    ("time", epoch, id, utc_ms)                   id 0: from WELCOME, no answer
    ("owner", owner record bytes)                 store them in flash before the next poll
"""

from hashlib import sha256

from .constant import const
from .frame import Assembler, check_frame, check_mac, fields_of, find_uint, need_uint, split
from .keys import derive_key
from .meter_commands import parse_command
from .meter_session import CLOSING, OPEN, MeterSession
from .owner import encode_owner_hello, parse_owner, refusal
from .tlv import RemoteProtocolError, pack, parse_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from meter_wire.ports import Ring

_FRAME_ANSWER = const(0x03)
_FRAME_LIVE = const(0x04)
_FRAME_DESCRIBE = const(0x05)
_FRAME_FAREWELL = const(0x06)
_FRAME_SEGMENT_UP = const(0x07)
_FRAME_WELCOME = const(0x81)
_FRAME_ACK = const(0x82)
_FRAME_NUDGE = const(0x83)
_FRAME_READ = const(0x84)
_FRAME_SUBSCRIBE = const(0x85)
_FRAME_WRITE = const(0x86)
_FRAME_FORWARD = const(0x87)
_FRAME_TIME = const(0x88)
_FRAME_OWNER = const(0x89)
_FRAME_ORDER = const(0x8A)
_FRAME_SEGMENT_DOWN = const(0x8B)
_TAG_INCARNATION = const(1)
_TAG_HEAD = const(3)
_TAG_UPTIME_MS = const(8)
_TAG_OWNER_COUNTER = const(16)
_TAG_STORED = const(22)
_TAG_ARCHIVED = const(23)
_TAG_UTC_MS = const(26)
_TAG_WANTED = const(28)
_TAG_COMMAND = const(29)
_TAG_DEADLINE = const(30)
_TAG_CODE = const(31)
_TAG_CODES = const(32)
_TAG_PERIOD = const(33)
_TAG_DURATION = const(34)
_TAG_TARGET = const(35)
_TAG_VALUE = const(36)
_TAG_INDEX = const(37)
_TAG_SECONDS = const(38)
_TAG_DATA = const(39)
_TAG_ENTRY = const(40)
_TAG_ORDER = const(41)
_TAG_SIGNATURE = const(42)
_TAG_RECORD = const(43)
_TAG_RETIRED = const(44)
_TAG_ACTIVE = const(45)
_HIGHEST_TAG = const(52)
_ANSWER_OK = const(0)
_ANSWER_EXPIRED = const(2)
_ANSWER_REFUSED = const(3)
_ANSWER_REPEATED = const(4)
_ANSWER_UNKNOWN = const(5)
_ANSWER_UNSIGNED = const(6)
_ANSWER_NOT_ACTIVE = const(8)
_FORM_LONG = const(0x80)
_MOST_DATA = const(512)
_MOST_QUEUED = const(6)
_MOST_SEEN = const(16)
_QUIET_MS = const(60000)
_MOST_QUIET_MS = const(960000)


class MeterInfo:
    """What HELLO says about the meter; the shell keeps it up to date."""

    def __init__(self, boot: int, firmware: str, description: bytes) -> None:
        """`description`: from `description.encode_description` (may be b"")."""
        self.boot = boot
        self.firmware = firmware
        self.description = description
        self.clock_state = 0
        self.capabilities = 0
        self.frame_limit = 768
        self.item_limit = 1024


class MeterLink:
    """One per meter and broker."""

    def __init__(
        self,
        device: str,
        meter_key: bytes,
        ring: "Ring",
        info: MeterInfo,
        random: "Callable[[int], bytes]",
        owner: bytes = b"",
        verify_utility: "Callable[[bytes, bytes], bool] | None" = None,
    ) -> None:
        """Begin without a connection.

        Args:
            device: device id.
            meter_key: K_meter, 32 bytes.
            ring: where readings and events wait.
            info: the rest of HELLO.
            random: n → n random bytes, for nonces.
            owner: owner record last accepted, from flash; b"" on a new meter.
            verify_utility: (order, signature) → genuine; None refuses every order.

        Raises:
            RemoteProtocolError: `owner` is not an authentic record.
        """
        self.device = device
        self.ring = ring
        self.info = info
        self.random = random
        self.owner = parse_owner(owner, derive_key(meter_key, "owner", device)) if owner else None
        self.spread_ms = 0
        self.refused: dict[str, int] = {}
        self.reread = False
        self._key = meter_key
        self._verify = verify_utility
        self._hellos = 0
        self._nonce = b""
        self._online = False
        self._ask_ms: int | None = None
        self._quiet_ms = _QUIET_MS
        self._sessions: list[MeterSession] = []
        self._queue: list[tuple[int, int, bytes]] = []
        self._seen: list[int] = []
        self._assembler = Assembler(info.item_limit)
        self._item = 0
        self._turn = 0
        self._reconcile(0)

    @property
    def epochs(self) -> list[int]:
        """Epochs whose `down` topic is to be subscribed."""
        return [session.epoch for session in self._sessions]

    def next_hello(self) -> int:
        """Return the number of the next hello of this boot (used by sessions)."""
        self._hellos += 1
        return self._hellos

    def spread_delay_ms(self) -> int:
        """Return how long this meter waits before an upload (used by sessions)."""
        digest = sha256(self.device.encode()).digest()
        return int.from_bytes(digest[:3], "big") % (self.spread_ms + 1)

    def connected(self, now_ms: int) -> None:
        """Begin a session with each epoch: the broker session is up and subscribed."""
        self._online = True
        wait_ms = self.spread_delay_ms()
        for session in self._sessions:
            session.reset(now_ms + wait_ms)
            session.progress_ms = now_ms + wait_ms
        self._quiet_ms = _QUIET_MS
        self._ask_ms = now_ms + wait_ms + (_QUIET_MS if self.owner else 0)

    def disconnected(self) -> None:
        """Note that the broker session has ended: `poll` gives nothing until `connected`."""
        self._online = False
        self._sessions = [session for session in self._sessions if session.state != CLOSING]

    def flush(self) -> None:
        """Send what waits for the spread now (an alarm)."""
        for session in self._sessions:
            session.hold_ms = 0

    def _count(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _find(self, epoch: int) -> "MeterSession | None":
        for session in self._sessions:
            if session.epoch == epoch:
                return session
        return None

    def _is_active(self, epoch: int) -> bool:
        return self.owner is not None and self.owner.active == epoch

    def receive(
        self, epoch: int, payload: bytes, now_ms: int, retained: bool = False, dup: bool = False
    ) -> "tuple[object, ...] | None":
        """Take a message of `mt/<device>/<epoch>/down`; never raises for what it contains."""
        try:
            session = self._find(epoch)
            if session is None:
                raise RemoteProtocolError("epoch")
            if retained:
                raise RemoteProtocolError("retained")
            return self._receive(session, payload, now_ms, dup)
        except RemoteProtocolError as error:
            self._count(error.args[0])
            return None

    def _receive(
        self, session: MeterSession, payload: bytes, now_ms: int, dup: bool
    ) -> "tuple[object, ...] | None":
        kind, counter = check_frame(payload, self.info.frame_limit)
        if kind == _FRAME_NUDGE:
            session.nudge(payload, now_ms)
            return None
        if kind == _FRAME_WELCOME:
            return self._welcome(session, payload, counter, now_ms, dup)
        if session.state != OPEN:
            raise RemoteProtocolError("no_session")
        check_mac(session.down, session.nonces, payload)
        if counter <= session.heard:
            raise RemoteProtocolError("duplicate" if dup else "replayed")
        session.heard = counter
        fields = fields_of(payload)
        if kind == _FRAME_ACK:
            session.ack(fields, self.ring.incarnation, self.ring.head, now_ms)
            self._release(session, session.mark, session.archived)
            return None
        if kind == _FRAME_SEGMENT_DOWN and self._is_active(session.epoch):
            whole = self._assembler.feed(fields, now_ms)
            if whole is None:
                return None
            kind = whole[0]
            fields = parse_fields(whole[1], 0, _HIGHEST_TAG)
        return self._command(session, kind, fields, now_ms)

    def _welcome(
        self, session: MeterSession, payload: bytes, counter: int, now_ms: int, dup: bool
    ) -> "tuple[object, ...] | None":
        head, limit = self.ring.head, self.info.frame_limit
        fields = session.welcome(payload, counter, head, limit, now_ms, dup)
        session.hold_ms = now_ms
        if find_uint(fields, _TAG_WANTED):
            self._enqueue(session.epoch, _FRAME_DESCRIBE, self.info.description)
        if not self._is_active(session.epoch):
            return None
        stored = min(find_uint(fields, _TAG_STORED), session.mark)
        session.archived = min(find_uint(fields, _TAG_ARCHIVED), stored)
        self._release(session, stored, session.archived)
        utc_ms = find_uint(fields, _TAG_UTC_MS, 8)
        return ("time", session.epoch, 0, utc_ms) if utc_ms else None

    def _release(self, session: MeterSession, stored: int, archived: int) -> None:
        if self._is_active(session.epoch):
            self.ring.release(stored, archived)

    def _command(
        self, session: MeterSession, kind: int, fields: dict[int, bytes], now_ms: int
    ) -> "tuple[object, ...] | None":
        if not _FRAME_READ <= kind:
            raise RemoteProtocolError("type")
        epoch = session.epoch
        command = need_uint(fields, _TAG_COMMAND)
        code = _ANSWER_OK
        reason = ""
        if not self._is_active(epoch):
            code, reason = _ANSWER_NOT_ACTIVE, "not_active"
        elif need_uint(fields, _TAG_DEADLINE, 8) < now_ms:
            code, reason = _ANSWER_EXPIRED, "expired"
        elif command in self._seen:
            code, reason = _ANSWER_REPEATED, "repeated"
        if code:
            self._count(reason)
            self.answer(epoch, command, code)
            return None
        self._seen = self._seen[1 - _MOST_SEEN :] + [command]
        name, values = parse_command(kind, fields)
        if name == "owner":
            event = self.receive_owner(values[0], now_ms)  # type: ignore[arg-type]
            self.answer(epoch, command, _ANSWER_OK if event else _ANSWER_REFUSED)
            return event
        if name == "order" and not (self._verify and self._verify(*values)):  # type: ignore[arg-type]
            self._count("unsigned")
            self.answer(epoch, command, _ANSWER_UNSIGNED)
            return None
        if not name:
            self.answer(epoch, command, _ANSWER_UNKNOWN)
            return None
        return (name, epoch, command) + values

    def receive_owner(self, payload: bytes, now_ms: int) -> "tuple[object, ...] | None":
        """Take a message of `mt/<device>/owner`; never raises for what it contains."""
        try:
            owner = parse_owner(payload, derive_key(self._key, "owner", self.device))
            reason = refusal(owner, self.device, self.owner, self._nonce)
            if reason:
                raise RemoteProtocolError(reason)
        except RemoteProtocolError as error:
            self._count(error.args[0])
            return None
        self.owner = owner
        self._reconcile(now_ms)
        self._ask_ms = now_ms + _QUIET_MS
        return "owner", payload

    def _reconcile(self, now_ms: int) -> None:
        if self.owner is None:
            return
        owner = self.owner
        wanted = [(owner.active, owner.active_id)]
        if owner.candidate:
            wanted.append((owner.candidate, owner.candidate_id))
        for session in list(self._sessions):
            if session.epoch not in [epoch for epoch, _ in wanted]:
                self._enqueue(owner.active, _FRAME_FAREWELL, self._farewell(session.epoch))
                if session.state == OPEN:
                    session.state = CLOSING
                else:
                    self._sessions.remove(session)
        for epoch, epoch_id in wanted:
            if self._find(epoch) is None:
                up = derive_key(self._key, "up", self.device, epoch, epoch_id)
                down = derive_key(self._key, "down", self.device, epoch, epoch_id)
                session = MeterSession(epoch, up, down)
                session.reset(now_ms)
                session.progress_ms = now_ms
                self._sessions.append(session)

    def _farewell(self, retired: int) -> bytes:
        owner = self.owner
        assert owner is not None
        return pack(
            _TAG_RETIRED, retired, _TAG_ACTIVE, owner.active, _TAG_OWNER_COUNTER, owner.counter,
            _TAG_INCARNATION, self.ring.incarnation, _TAG_HEAD, self.ring.head,
        )  # fmt: skip

    def poll(self, now_ms: int) -> "tuple[int, bytes] | None":
        """Return the next (epoch, payload) to publish, None when there is nothing to do now."""
        if not self._online:
            return None
        if self._ask_ms is not None and now_ms >= self._ask_ms:
            payload = self._ask(now_ms)
            if payload:
                return 0, payload
        for session in self._sessions:
            if session.state == CLOSING:
                self._sessions.remove(session)
                return session.epoch, session.seal(_FRAME_FAREWELL, self._farewell(session.epoch))
        for item in self._queue:
            to = self._find(item[0])
            if to is None:
                self._queue.remove(item)
                break
            if to.state == OPEN:
                self._queue.remove(item)
                return item[0], self._fit(to, item[1], item[2])
        for _ in self._sessions:
            self._turn += 1
            session = self._sessions[self._turn % len(self._sessions)]
            frame = session.poll(self, now_ms)
            if frame:
                return session.epoch, frame
        return None

    def _fit(self, session: MeterSession, kind: int, body: bytes) -> bytes:
        if len(body) + 22 > session.limit:
            self._item = self._item + 1 & 0xFFFF
            parts = split(kind, body, session.limit, self._item)
            kind, body = _FRAME_SEGMENT_UP, parts.pop(0)
            self._queue = [(session.epoch, kind, part) for part in parts] + self._queue
        return session.seal(kind, body)

    def _ask(self, now_ms: int) -> bytes:
        active = self._find(self.owner.active) if self.owner else None
        if active is not None:
            idle = active.state == OPEN and not active.flight
            if idle or now_ms - active.progress_ms < _QUIET_MS:
                self._quiet_ms = _QUIET_MS
                self._ask_ms = now_ms + _QUIET_MS
                return b""
        self.reread = True
        self._ask_ms = now_ms + self._quiet_ms
        self._quiet_ms = min(2 * self._quiet_ms, _MOST_QUIET_MS)
        self._nonce = self.random(8)
        key = derive_key(self._key, "hello", self.device)
        return encode_owner_hello(key, self.device, self._nonce, self.ring.incarnation, self.owner)

    def _enqueue(self, epoch: int, kind: int, body: bytes) -> None:
        if len(self._queue) >= _MOST_QUEUED:
            self._count("busy")
        else:
            self._queue.append((epoch, kind, body))

    def answer(
        self, epoch: int, command: int, code: int, entry: bytes = b"", data: bytes = b""
    ) -> None:
        """Queue an ANSWER; codes are `tables.ANSWERS`.

        Args:
            epoch: as in the event.
            command: id, as in the event.
            code: 0 ok or delivered, 1 absent, 2 expired, 3 refused, ...
            entry: result of `entry.encode_reading`, for a read.
            data: reply of the EMS, at most 512 bytes.
        """
        body = pack(_TAG_COMMAND, command, _TAG_CODE, code)
        if entry:
            body += pack(_TAG_ENTRY, entry)
        if data:
            body += pack(_TAG_DATA, data)
        self._enqueue(epoch, _FRAME_ANSWER, body)

    def live(self, epoch: int, command: int, entry: bytes) -> bool:
        """Queue a LIVE reading of a subscription; False when the epoch has no open session."""
        session = self._find(epoch)
        if session is None or session.state != OPEN:
            return False
        self._enqueue(epoch, _FRAME_LIVE, pack(_TAG_COMMAND, command, _TAG_ENTRY, entry))
        return True
