"""The twin's end of link version 1: one meter, one epoch, one store; no I/O and no clock.

    link = TwinLink(device, keys, store_id, journal, random=os.urandom)
    effects = link.connected(now_ms)                       # subscribed to .../up
    effects = link.receive(payload, now_ms, utc_ms, retained, dup)
    ... for StoreEntries: commit, then effects = link.stored(effect.batch)
    command_id, effects = link.command(Read(), ttl_ms, now_ms)
    effects = link.poll(now_ms); sleep until link.next_deadline_ms

Entries are acknowledged only after `stored`. Effects are in `meter_wire.effects`.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from meter_wire.commands import Command
from meter_wire.effects import Effect
from meter_wire.ports import Journal


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """The twin's part of keys.json."""

    epoch: int
    up: bytes
    down: bytes


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
        """
        self.refused: Counter[str] = Counter()
        """Refusals by name, as in `tables.REFUSALS`."""

    @property
    def is_open(self) -> bool:
        """Whether a session with the meter is open."""
        raise NotImplementedError

    @property
    def next_deadline_ms(self) -> int | None:
        """When `poll` has something to do, None if never."""
        raise NotImplementedError

    def connected(self, now_ms: int) -> list[Effect]:
        """Ask the meter for a hello: the broker session is up and `up` is subscribed."""
        raise NotImplementedError

    def disconnected(self) -> None:
        """Note that the broker session has ended; the link session may outlive it."""
        raise NotImplementedError

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
        raise NotImplementedError

    def stored(self, batch: int) -> list[Effect]:
        """Acknowledge: the StoreEntries of `batch` is durable (batches in their order)."""
        raise NotImplementedError

    def failed(self) -> None:
        """Forget what was not stored: the meter sends it again."""
        raise NotImplementedError

    def archived(self, incarnation: bytes, mark: int) -> list[Effect]:
        """Tell the meter that the archive holds everything up to `mark`."""
        raise NotImplementedError

    def command(self, command: Command, ttl_ms: int, now_ms: int) -> tuple[int, list[Effect]]:
        """Issue a command that dies in the meter after `ttl_ms` at the latest.

        Returns:
            (command id, effects); without an open session the effects hold `Answered` with
            code `absent` at once.

        Raises:
            ValueError: a field is out of range.
        """
        raise NotImplementedError

    def poll(self, now_ms: int) -> list[Effect]:
        """Let time pass: commands without an answer end with `timeout`."""
        raise NotImplementedError
