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

from .constant import const
from .frame import check_frame, check_mac, fields_of, find_uint, need_uint
from .meter_commands import parse_command
from .meter_epochs import QUIET_MS, MeterEpochs
from .meter_session import CLOSING, OPEN, MeterSession
from .tlv import RemoteProtocolError, pack, parse_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from meter_wire.ports import Aes, Ring

    from .segments import Assembler

_FRAME_ANSWER = const(0x03)
_FRAME_LIVE = const(0x04)
_FRAME_DESCRIBE = const(0x05)
_FRAME_FAREWELL = const(0x06)
_FRAME_SEGMENT_UP = const(0x07)
_FRAME_WELCOME = const(0x81)
_FRAME_ACK = const(0x82)
_FRAME_NUDGE = const(0x83)
_FRAME_READ = const(0x84)
_FRAME_SEGMENT_DOWN = const(0x8B)
_TAG_STORED = const(22)
_TAG_ARCHIVED = const(23)
_TAG_UTC_MS = const(26)
_TAG_WANTED = const(28)
_TAG_COMMAND = const(29)
_TAG_DEADLINE = const(30)
_TAG_CODE = const(31)
_TAG_DATA = const(39)
_TAG_ENTRY = const(40)
_HIGHEST_TAG = const(53)
_ANSWER_OK = const(0)
_ANSWER_EXPIRED = const(2)
_ANSWER_REFUSED = const(3)
_ANSWER_REPEATED = const(4)
_ANSWER_UNKNOWN = const(5)
_ANSWER_UNSIGNED = const(6)
_ANSWER_NOT_ACTIVE = const(8)
_MOST_SEEN = const(16)


class MeterInfo:
    """What HELLO says about the meter, kept up to date; `description`: see `description`.

    `records_limit`: longest RECORDS in bytes that it makes, less where memory is short.
    `aes`: the board's `cryptolib.aes` if sessions shall be encrypted, else None.
    """

    def __init__(self, boot: int, firmware: str, description: bytes) -> None:
        self.boot = boot
        self.firmware = firmware
        self.description = description
        self.clock_state = 0
        self.capabilities = 0
        self.frame_limit = 768
        self.item_limit = 1024
        self.records_limit = 4096
        self.aes: "Aes | None" = None


class MeterLink(MeterEpochs):
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

        Raises: RemoteProtocolError if `owner` is not an authentic record.
        """
        MeterEpochs.__init__(self, device, meter_key, ring, random, owner)
        self.info = info
        self._verify = verify_utility
        self._online = False
        self._seen: list[int] = []
        self._assembler: Assembler | None = None
        self._item = 0
        self._turn = 0

    def connected(self, now_ms: int) -> None:
        """Begin a session with each epoch: the broker session is up and subscribed."""
        self._online = True
        wait_ms = self.spread_delay_ms()
        for session in self._sessions:
            session.reset(now_ms + wait_ms)
            session.progress_ms = now_ms + wait_ms
        self._quiet_ms = QUIET_MS
        self._ask_ms = now_ms + wait_ms + (QUIET_MS if self.owner else 0)

    def disconnected(self) -> None:
        """Note that the broker session has ended: `poll` gives nothing until `connected`."""
        self._online = self.heard = False
        self._sessions = [session for session in self._sessions if session.state != CLOSING]

    def flush(self) -> None:
        """Send what waits for the spread now (an alarm)."""
        for session in self._sessions:
            session.hold_ms = 0

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
            self.count(error.args[0])
            return None

    def _receive(
        self, session: MeterSession, payload: bytes, now_ms: int, dup: bool
    ) -> "tuple[object, ...] | None":
        kind, counter = check_frame(payload, self.info.frame_limit)
        if kind == _FRAME_NUDGE:
            session.nudge(payload, now_ms, dup)
            return None
        if kind == _FRAME_WELCOME:
            return self._welcome(session, payload, counter, now_ms, dup)
        if session.state != OPEN:
            raise RemoteProtocolError("no_session")
        check_mac(session.down, session.nonces, payload)
        if counter <= session.heard:
            raise RemoteProtocolError("duplicate" if dup else "replayed")
        session.heard = counter
        if session.is_encrypted:
            payload = session.cipher.open(payload)  # type: ignore[union-attr]
        fields = fields_of(payload)
        if kind == _FRAME_ACK:
            session.ack(fields, self.ring.incarnation, self.ring.head, now_ms)
            if self._is_active(session.epoch):
                self.ring.release(session.mark, session.archived)
            return None
        if kind == _FRAME_SEGMENT_DOWN and self._is_active(session.epoch):
            whole = self._assemble(fields, now_ms)
            if whole is None:
                return None
            kind = whole[0]
            fields = parse_fields(whole[1], 0, _HIGHEST_TAG)
        return self._command(session, kind, fields, now_ms)

    def _assemble(self, fields: dict[int, bytes], now_ms: int) -> "tuple[int, bytes] | None":
        if self._assembler is None:
            from .segments import Assembler  # noqa: PLC0415 - costs heap only when needed

            self._assembler = Assembler(self.info.item_limit)
        return self._assembler.feed(fields, now_ms)

    def _welcome(
        self, session: MeterSession, payload: bytes, counter: int, now_ms: int, dup: bool
    ) -> "tuple[object, ...] | None":
        head, limit = self.ring.head, self.info.frame_limit
        fields = session.welcome(payload, counter, head, limit, dup, self.info.aes)
        session.hold_ms = now_ms
        if find_uint(fields, _TAG_WANTED):
            self._enqueue(session.epoch, _FRAME_DESCRIBE, self.info.description)
        if not self._is_active(session.epoch):
            return None
        stored = min(find_uint(fields, _TAG_STORED), session.mark)
        session.archived = min(find_uint(fields, _TAG_ARCHIVED), stored)
        self.ring.release(stored, session.archived)
        utc_ms = find_uint(fields, _TAG_UTC_MS, 8)
        return ("time", session.epoch, 0, utc_ms) if utc_ms else None

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
            self.count(reason)
            self.answer(epoch, command, code)
            return None
        self._seen = self._seen[1 - _MOST_SEEN :] + [command]
        name, values = parse_command(kind, fields)
        if name == "owner":
            event = self.receive_owner(values[0], now_ms)  # type: ignore[arg-type]
            self.answer(epoch, command, _ANSWER_OK if event else _ANSWER_REFUSED)
            return event
        if name == "order" and not (self._verify and self._verify(*values)):  # type: ignore[arg-type]
            self.count("unsigned")
            self.answer(epoch, command, _ANSWER_UNSIGNED)
            return None
        if not name:
            self.answer(epoch, command, _ANSWER_UNKNOWN)
            return None
        return (name, epoch, command) + values

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
            from .segments import split  # noqa: PLC0415 - costs heap only when needed

            self._item = self._item + 1 & 0xFFFF
            parts = split(kind, body, session.limit, self._item)
            kind, body = _FRAME_SEGMENT_UP, parts.pop(0)
            self._queue = [(session.epoch, kind, part) for part in parts] + self._queue
        return session.seal(kind, body)

    def answer(
        self, epoch: int, command: int, code: int, entry: bytes = b"", data: bytes = b""
    ) -> None:
        """Queue an ANSWER to (epoch, command) of an event; codes are `tables.ANSWERS`.

        `entry`: result of `entry.encode_reading`; `data`: reply of the EMS, at most 512 bytes.
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
        if not (session and session.state == OPEN):
            return False
        self._enqueue(epoch, _FRAME_LIVE, pack(_TAG_COMMAND, command, _TAG_ENTRY, entry))
        return True
