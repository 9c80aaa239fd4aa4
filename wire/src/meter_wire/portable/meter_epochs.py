"""Which epochs a meter talks to: owner record, owner hello, sessions. Base of `meter_link`.

A meter that hears nothing from its active epoch reads the record again and says owner hello.
"""

from hashlib import sha256

from .constant import const
from .keys import derive_key
from .meter_session import CLOSING, OPEN, MeterSession
from .owner import encode_owner_hello, parse_owner, refusal
from .tlv import RemoteProtocolError, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from meter_wire.ports import Ring

QUIET_MS = const(60000)
_MOST_QUIET_MS = const(960000)
_MOST_QUEUED = const(6)
_FRAME_FAREWELL = const(0x06)
_TAG_INCARNATION = const(1)
_TAG_HEAD = const(3)
_TAG_OWNER_COUNTER = const(16)
_TAG_RETIRED = const(44)
_TAG_ACTIVE = const(45)


class MeterEpochs:
    """The epochs of the owner record, each with its session; what waits to be sent to them."""

    def __init__(
        self,
        device: str,
        meter_key: bytes,
        ring: "Ring",
        random: "Callable[[int], bytes]",
        owner: bytes,
    ) -> None:
        """Arguments as in `MeterLink`.

        Raises:
            RemoteProtocolError: `owner` is not an authentic record.
        """
        self.device = device
        self.ring = ring
        self.random = random
        self.owner = parse_owner(owner, derive_key(meter_key, "owner", device)) if owner else None
        self.spread_ms = 0
        self.refused: dict[str, int] = {}
        self.reread = False
        self.heard = False
        """Whether an authentic, valid owner record came in this broker session."""
        self._key = meter_key
        self._hellos = 0
        self._nonce = b""
        self._ask_ms: int | None = None
        self._quiet_ms = QUIET_MS
        self._sessions: list[MeterSession] = []
        self._queue: list[tuple[int, int, bytes]] = []
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

    def count(self, reason: str) -> None:
        """Count a refusal by its name, as in `tables.REFUSALS`."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _find(self, epoch: int) -> "MeterSession | None":
        for session in self._sessions:
            if session.epoch == epoch:
                return session
        return None

    def serves(self) -> bool:
        """Tell whether the session with the active epoch's twin is open."""
        active = self._find(self.owner.active) if self.owner else None
        return active is not None and active.state == OPEN

    def _is_active(self, epoch: int) -> bool:
        return self.owner is not None and self.owner.active == epoch

    def receive_owner(self, payload: bytes, now_ms: int) -> "tuple[object, ...] | None":
        """Take a message of `mt/<device>/owner`; never raises for what it contains."""
        try:
            owner = parse_owner(payload, derive_key(self._key, "owner", self.device))
            reason = refusal(owner, self.device, self.owner, self._nonce)
            self.heard = self.heard or reason in (None, "repeated")
            if reason:
                raise RemoteProtocolError(reason)
        except RemoteProtocolError as error:
            self.count(error.args[0])
            return None
        self.owner = owner
        self._reconcile(now_ms)
        self._ask_ms = now_ms + QUIET_MS
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

    def _ask(self, now_ms: int) -> bytes:
        active = self._find(self.owner.active) if self.owner else None
        if active is not None:
            if now_ms - active.progress_ms < QUIET_MS:
                self._quiet_ms = QUIET_MS
                self._ask_ms = now_ms + QUIET_MS
                return b""
        self.reread = True
        self._ask_ms = now_ms + self._quiet_ms
        self._quiet_ms = min(2 * self._quiet_ms, _MOST_QUIET_MS)
        self._nonce = self.random(8)
        key = derive_key(self._key, "hello", self.device)
        return encode_owner_hello(key, self.device, self._nonce, self.ring.incarnation, self.owner)

    def _enqueue(self, epoch: int, kind: int, body: bytes) -> None:
        if len(self._queue) >= _MOST_QUEUED:
            self.count("busy")
        else:
            self._queue.append((epoch, kind, body))
