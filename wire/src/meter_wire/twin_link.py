"""The twin's end of link version 1: one meter, one epoch, one store; no I/O and no clock.

    link = TwinLink(device, keys, store_id, journal, random=os.urandom)
    effects = link.connected(now_ms)                       # subscribed to .../up
    effects = link.receive(payload, now_ms, utc_ms, retained, dup)
    ... for StoreEntries: commit, then effects = link.stored(effect.batch)
    command_id, effects = link.command(Read(), ttl_ms, now_ms)
    effects = link.poll(now_ms); sleep until link.next_deadline_ms

Entries are acknowledged only after `stored`. Effects are in `meter_wire.effects`.
"""

import itertools
from collections import Counter
from collections.abc import Callable

from meter_wire.commands import Command, encode_command
from meter_wire.effects import (
    Answered,
    ChainBroken,
    Described,
    Effect,
    Live,
    Refused,
    Send,
    StoreEntries,
)
from meter_wire.entries import parse_description, parse_entry
from meter_wire.portable.frame import (
    NO_NONCE,
    check_frame,
    fields_of,
    need,
    need_uint,
    seal,
)
from meter_wire.portable.tlv import RemoteProtocolError, field, number, parse_fields
from meter_wire.ports import Aes, Journal, Marks
from meter_wire.tables import FRAME_TYPES, TAGS
from meter_wire.twin_commands import METER_OFFLINE, TWIN_BUSY, PendingCommands
from meter_wire.twin_intake import Intake
from meter_wire.twin_session import (
    EpochKeys,
    Hello,
    TwinSession,
    build_meter_hello,
    build_welcome,
    check_hello,
    parse_farewell,
    parse_hello,
)

__all__ = ["EpochKeys", "TwinLink"]

_TAGS = {row.name: row.number for row in TAGS}
_FRAMES = {row.name: row.number for row in FRAME_TYPES}
_NAMES = {row.number: row.name for row in FRAME_TYPES}
_NUDGE_PAUSE_MS = 10_000


class TwinLink:
    """One per twin."""

    def __init__(
        self,
        device: str,
        keys: EpochKeys,
        store_id: bytes,
        journal: Journal,
        random: Callable[[int], bytes],
        *,
        described: bytes = b"",
        frame_limit: int = 1358,
        window: int = 4,
        find_aes: Callable[[], Aes | None] = lambda: None,
    ) -> None:
        """Begin without a session.

        Args:
            device: device id.
            keys: of this epoch.
            store_id: eight random bytes made with the store.
            journal: read access to the store.
            random: n → n random bytes, for nonces and command ids.
            described: digest of the stored description, b"" if there is none.
            frame_limit: longest frame in bytes that this side takes.
            window: frames that the meter may have unacknowledged.
            find_aes: () → AES, called for a meter that wants encryption; None if there is none.
        """
        self.refused: Counter[str] = Counter()
        """Refusals by name, as in `tables.REFUSALS`."""
        self._device = device
        self._keys = keys
        self._store_id = store_id
        self._journal = journal
        self._random = random
        self._described = described
        self._frame_limit = frame_limit
        self._window = window
        self._find_aes = find_aes
        self._session: TwinSession | None = None
        self._intake: Intake | None = None
        self._hellos = {key: marks.hello for key, marks in journal.marks().items()}
        # What a meter must know that greets us: not what another twin brings meanwhile.
        self._heads = {key: marks.stored for key, marks in journal.marks().items()}
        self._batches = itertools.count(1)
        self._pending = PendingCommands(int.from_bytes(random(4), "big"))
        self._nudged_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether a session with the meter is open."""
        return self._session is not None

    @property
    def is_encrypted(self) -> bool:
        """Whether an encrypted session with the meter is open."""
        return self._session is not None and self._session.is_encrypted

    @property
    def next_deadline_ms(self) -> int | None:
        """When `poll` has something to do, None if never."""
        return min(self._pending.deadlines.values(), default=None)

    def connected(self, now_ms: int) -> list[Effect]:
        """Ask the meter for a hello if no session is open; `up` must be subscribed."""
        return [] if self._session else self._nudge(now_ms)

    def disconnected(self) -> None:
        """Note that the broker session has ended: the meter says hello when it is back itself."""
        self._nudged_ms = None

    def _nudge(self, now_ms: int) -> list[Effect]:
        if self._nudged_ms is not None and now_ms - self._nudged_ms < _NUDGE_PAUSE_MS:
            return []
        self._nudged_ms = now_ms
        nonce = self._random(8)
        body = field(_TAGS["twin_nonce"], nonce)
        return [Send(seal(self._keys.down, NO_NONCE + nonce, _FRAMES["nudge"], 0, body))]

    def receive(
        self,
        payload: bytes,
        now_ms: int,
        utc_ms: int | None = None,
        *,
        retained: bool = False,
        dup: bool = False,
    ) -> list[Effect]:
        """Take a message of `up`; never raises for what it contains.

        `utc_ms` goes to the meter with WELCOME; None while the twin's own clock is in doubt.
        """
        try:
            return self._receive(payload, now_ms, utc_ms, retained=retained, dup=dup)
        except RemoteProtocolError as error:
            reason = str(error.args[0])
            self.refused[reason] += 1
            again = self._nudge(now_ms) if reason in ("mac", "no_session") else []
            return [Refused(reason), *again]

    def _receive(
        self, payload: bytes, now_ms: int, utc_ms: int | None, *, retained: bool, dup: bool
    ) -> list[Effect]:
        if retained:
            raise RemoteProtocolError("retained")
        kind, counter = check_frame(payload, self._frame_limit)
        if kind == _FRAMES["hello"]:
            return self._hello(payload, now_ms, utc_ms)
        session = self._session
        if session is None:
            raise RemoteProtocolError("no_session")
        payload = session.open(payload, counter, dup=dup)
        fields = fields_of(payload)
        if kind == _FRAMES["segment_up"]:
            whole = session.assembler.feed(fields, now_ms)
            if whole is None:
                return []
            kind, body = whole
            fields = parse_fields(body, 0, _TAGS["item_limit"])
        else:
            body = payload[6:-16]
        return self._dispatch(session, kind, fields, body, now_ms)

    def _dispatch(
        self, session: TwinSession, kind: int, fields: dict[int, bytes], body: bytes, now_ms: int
    ) -> list[Effect]:
        match _NAMES.get(kind):
            case "records":
                return self._records(session, fields, now_ms)
            case "answer":
                return [self._pending.answer(fields)]
            case "live":
                command = need_uint(fields, _TAGS["command"])
                return [Live(command, parse_entry(need(fields, _TAGS["entry"])))]
            case "describe":
                self._described = session.hello.digest
                return [Described(session.hello.digest, body, *parse_description(body))]
            case "farewell":
                return [parse_farewell(fields)]
        raise RemoteProtocolError("type")

    def _hello(self, payload: bytes, now_ms: int, utc_ms: int | None) -> list[Effect]:
        hello = parse_hello(fields_of(payload))
        check_hello(self._keys, payload, hello, self._device)
        last = self._hellos.get(hello.incarnation, (0, 0))
        session = self._session
        if session and session.hello.meter_nonce == hello.meter_nonce:
            self.refused["repeated"] += 1
            return [Send(session.welcome)]
        if hello.number < last or (hello.number == last and session):
            raise RemoteProtocolError("replayed")
        self._hellos[hello.incarnation] = hello.number
        intake = self._open(hello)
        opened = TwinSession(self._keys, hello, self._random(8), self._frame_limit)
        opened.note_uptime(hello.uint("uptime_ms", 8), now_ms)
        marks = (intake.incarnation, intake.stored, intake.archived)
        wanted = hello.digest != self._described
        aes = self._find_aes() if hello.wants_encryption else None
        body = build_welcome(
            *(opened.twin_nonce, self._store_id, marks, self._frame_limit, self._window),
            wanted=wanted,
            utc_ms=utc_ms,
            encrypted=aes is not None,
        )
        (opened.welcome,) = opened.seal(_FRAMES["welcome"], body)
        if aes is not None:
            opened.encrypt(aes)
        self._session = opened
        effects: list[Effect] = [build_meter_hello(hello), Send(opened.welcome)]
        head = hello.uint("head")
        if head < self._heads.get(hello.incarnation, 0):
            effects.append(ChainBroken(hello.incarnation, head + 1))
        self._hear(hello.incarnation, head)
        return effects

    def _hear(self, incarnation: bytes, head: int) -> None:
        """Note how far the meter itself has said that it is."""
        self._heads[incarnation] = max(self._heads.get(incarnation, 0), head)

    def _open(self, hello: Hello) -> Intake:
        if self._intake is None or self._intake.incarnation != hello.incarnation:
            marks = self._journal.marks().get(hello.incarnation, Marks())
            self._intake = Intake(self._journal, hello.incarnation, marks)
        return self._intake

    def _records(self, session: TwinSession, fields: dict[int, bytes], now_ms: int) -> list[Effect]:
        session.note_uptime(need_uint(fields, _TAGS["uptime_ms"], 8), now_ms)
        intake = self._intake
        if intake is None or need(fields, _TAGS["incarnation"], 8) != intake.incarnation:
            raise RemoteProtocolError("malformed")
        effects = intake.records(fields, next(self._batches))
        self._hear(intake.incarnation, intake.named)
        if not effects or not isinstance(effects[-1], StoreEntries):
            effects += self._ack()
        return effects

    def _ack(self) -> list[Effect]:
        intake = self._intake
        if self._session is None or intake is None:
            return []
        body = (
            field(_TAGS["store"], self._store_id)
            + field(_TAGS["incarnation"], intake.incarnation)
            + number(_TAGS["stored"], intake.stored)
            + number(_TAGS["archived"], intake.archived)
        )
        return [Send(frame) for frame in self._session.seal(_FRAMES["ack"], body)]

    def stored(self, batch: int) -> list[Effect]:
        """Acknowledge: the StoreEntries of `batch` is durable; of an ended incarnation, nothing."""
        if self._intake is None or not self._intake.committed(batch):
            return []
        return self._ack()

    def imported(self) -> list[Effect]:
        """Acknowledge what another twin brought into the store: the meter need not send it."""
        if self._intake is None:
            return []
        marks = self._journal.marks().get(self._intake.incarnation, Marks())
        return self._ack() if self._intake.catch_up(marks) else []

    def failed(self) -> None:
        """Forget what was not stored, and the session: the meter sends it again."""
        if self._intake:
            self._intake.drop()
        self._session = None

    def archived(self, incarnation: bytes, mark: int) -> list[Effect]:
        """Tell the meter that the archive holds everything up to `mark`."""
        intake = self._intake
        if intake is None or intake.incarnation != incarnation or mark <= intake.archived:
            return []
        intake.archived = min(mark, intake.stored)
        return self._ack()

    def command(self, command: Command, ttl_ms: int, now_ms: int) -> tuple[int, list[Effect]]:
        """Issue a command that dies in the meter after `ttl_ms` at the latest; it is sent once.

        Returns:
            (command id, effects); without an open session, or with 32 commands under way, the
            effects hold `Answered` with code `meter_offline` or `twin_busy` at once.

        Raises:
            ValueError: a field is out of range.
        """
        kind, body = encode_command(command)
        identity = self._pending.draw()
        if self._session is None:
            return identity, [Answered(identity, METER_OFFLINE)]
        if self._pending.is_full:
            return identity, [Answered(identity, TWIN_BUSY)]
        deadline = max(now_ms + ttl_ms + self._session.uptime_offset_ms, 0)
        head = number(_TAGS["command"], identity) + number(_TAGS["deadline"], deadline)
        frames = self._session.seal(kind, head + body)
        self._pending.wait(identity, ttl_ms, now_ms)
        return identity, [Send(frame) for frame in frames]

    def poll(self, now_ms: int) -> list[Effect]:
        """Let time pass: commands without an answer end with `timeout`."""
        return [*self._pending.expire(now_ms)]
