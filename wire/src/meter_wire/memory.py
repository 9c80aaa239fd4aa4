"""In-memory adapters of the link's ports: a ring, a journal, and a meter with twins on a wire.

What the tests of every part use instead of flash, SQLite and a broker; nothing here is patched
into anything.
"""

from collections import deque
from collections.abc import Callable

from meter_wire.effects import Effect, Hole, MeterHello, Quarantine, Send, StoreEntries
from meter_wire.owner_record import OwnerRecord, encode_owner_record
from meter_wire.portable.entry import chain, chain_hole
from meter_wire.portable.keys import derive_key
from meter_wire.portable.meter_link import MeterInfo, MeterLink
from meter_wire.ports import Aes, Marks
from meter_wire.twin_link import EpochKeys, TwinLink

OVERFLOW, RESERVED, RELEASED = 1, 2, 3


class MemoryRing:
    """A ring of `capacity` entries that overwrites the oldest."""

    def __init__(self, incarnation: bytes, capacity: int = 1000) -> None:
        """`incarnation`: eight bytes."""
        self.incarnation = incarnation
        self.capacity = capacity
        self.oldest = 1
        self.head = 0
        self.stored = 0
        self.archived = 0
        self.lost: set[int] = set()
        self.held: dict[int, tuple[bytes, bytes]] = {}
        self._reserved: list[tuple[int, int]] = []
        self._chain = bytes(16)

    def append(self, entry: bytes) -> int:
        """Give the entry its number, overwrite the oldest when full."""
        self.head += 1
        self.held[self.head] = entry, self._chain
        self._chain = chain(self._chain, self.incarnation, self.head, entry)
        while len(self.held) > self.capacity:
            if self.oldest in self.held:
                del self.held[self.oldest]
                if self.oldest > self.stored:
                    self.lost.add(self.oldest)
            self.oldest += 1
        return self.head

    def reserve(self, count: int) -> None:
        """Skip numbers, as after a reboot."""
        first = self.head + 1
        self.head += count
        self._chain = chain_hole(self._chain, self.incarnation, first, self.head)
        self._reserved.append((first, self.head))

    def read(self, seq: int) -> tuple[bytes, bytes] | None:
        """Return (entry, chain hash of seq - 1), None in a hole."""
        return self.held.get(seq)

    def hole(self, seq: int) -> tuple[int, int]:
        """Return (last number, reason) of the hole that seq lies in."""
        for first, last in self._reserved:
            if first <= seq <= last:
                return last, RESERVED
        reason = OVERFLOW if seq in self.lost else RELEASED
        last = seq
        while last + 1 < self.oldest and (last + 1 in self.lost) == (seq in self.lost):
            if any(first <= last + 1 <= end for first, end in self._reserved):
                break
            last += 1
        return last, reason

    def release(self, stored: int, archived: int) -> None:
        """Note the marks of the active epoch."""
        self.stored = max(self.stored, stored)
        self.archived = max(self.archived, archived)


class MemoryJournal:
    """A twin's store."""

    def __init__(self) -> None:
        """Begin empty."""
        self.entries: dict[tuple[bytes, int], bytes] = {}
        self.order: list[tuple[bytes, int]] = []
        self.holes: list[Hole] = []
        self.quarantine: list[Quarantine] = []
        self.by_incarnation: dict[bytes, Marks] = {}

    def marks(self) -> dict[bytes, Marks]:
        """Return what is stored, per incarnation."""
        return self.by_incarnation

    def find_entry(self, incarnation: bytes, seq: int) -> bytes | None:
        """Return the stored bytes of an entry."""
        return self.entries.get((incarnation, seq))

    def commit(self, effect: StoreEntries) -> None:
        """Store a batch.

        Raises:
            AssertionError: an entry is there already.
        """
        for seq, entry in effect.entries:
            key = (effect.incarnation, seq)
            assert key not in self.entries, f"stored twice: {seq}"
            self.entries[key] = entry
            self.order.append(key)
        self.holes.extend(effect.holes)
        marks = self.by_incarnation.setdefault(effect.incarnation, Marks())
        marks.stored, marks.chain = effect.stored, effect.chain


class MemoryTwin:
    """A twin's process: commits at once unless `commits` is false; keeps the other effects."""

    def __init__(self, keys: EpochKeys, device: str, random: Callable[[int], bytes]) -> None:
        """`keys`: of its epoch."""
        self.keys = keys
        self.journal = MemoryJournal()
        self.commits = True
        self.waiting: deque[StoreEntries] = deque()
        self.effects: list[Effect] = []
        self.store_id = random(8)
        self.random = random
        self.device = device
        self.described = b""
        self.aes: Aes | None = None
        self.down: deque[bytes] = deque()
        self.restart()

    def restart(self) -> None:
        """Kill -9: what was not committed is gone."""
        self.waiting.clear()
        self.link = TwinLink(
            self.device,
            self.keys,
            self.store_id,
            self.journal,
            self.random,
            described=self.described,
            find_aes=lambda: self.aes,
        )

    def act(self, effects: list[Effect]) -> None:
        """Do what the core says, in order."""
        for effect in effects:
            match effect:
                case Send(payload):
                    self.down.append(payload)
                case StoreEntries():
                    self.waiting.append(effect)
                case MeterHello():
                    marks = self.journal.by_incarnation.setdefault(effect.incarnation, Marks())
                    marks.hello = effect.number
                    self.effects.append(effect)
                case Quarantine():
                    self.journal.quarantine.append(effect)
                case _:
                    self.effects.append(effect)
        if self.commits:
            self.commit()

    def commit(self) -> None:
        """Make everything durable that waits, and acknowledge it."""
        while self.waiting:
            effect = self.waiting.popleft()
            self.journal.commit(effect)
            self.act(self.link.stored(effect.batch))


class MemoryMeter:
    """A meter's process with its durable state, and the wire to its twins."""

    def __init__(self, device: str, key: bytes, random: Callable[[int], bytes]) -> None:
        """`key`: K_meter."""
        self.device = device
        self.key = key
        self.random = random
        self.ring = MemoryRing(random(8))
        self.owner = b""
        self.verify: Callable[[bytes, bytes], bool] | None = None
        self.boot = 0
        self.highest = 0
        self.broker = "broker:8883"
        self.now_ms = 0
        self.description = b""
        self.aes: Aes | None = None
        self.events: list[tuple[object, ...]] = []
        self.hellos: list[bytes] = []
        self.twins: dict[int, MemoryTwin] = {}
        self.up: deque[tuple[int, bytes]] = deque()
        self.reboot()

    def reboot(self) -> None:
        """Begin a boot with what is in flash; uptime begins at 0."""
        self.boot += 1
        self.now_ms = 0
        self.up.clear()
        info = MeterInfo(self.boot, "1.0.0", self.description)
        info.aes = self.aes
        self.link = MeterLink(
            self.device, self.key, self.ring, info, self.random, self.owner, self.verify
        )
        self.link.connected(self.now_ms)

    def epoch_id(self, epoch: int) -> bytes:
        """Return the id that this test world gives an epoch."""
        return epoch.to_bytes(16, "big")

    def twin(self, epoch: int) -> MemoryTwin:
        """Return the twin of an epoch, made at its first use."""
        if epoch not in self.twins:
            keys = [
                derive_key(self.key, label, self.device, epoch, self.epoch_id(epoch))
                for label in ("up", "down")
            ]
            self.twins[epoch] = MemoryTwin(EpochKeys(epoch, *keys), self.device, self.random)
        return self.twins[epoch]

    def record(self, counter: int, active: int, candidate: int = 0, nonce: bytes = b"") -> bytes:
        """Return an owner record of this test world; its highest epoch never falls."""
        self.highest = max(active, candidate, self.highest)
        record = OwnerRecord(
            self.device,
            active,
            self.epoch_id(active),
            candidate,
            self.epoch_id(candidate) if candidate else b"",
            self.highest,
            self.broker,
            counter,
            nonce,
        )
        return encode_owner_record(record, derive_key(self.key, "owner", self.device))

    def accept(self, record: bytes) -> bool:
        """Hand the meter an owner record; whether it took it."""
        return self.note(self.link.receive_owner(record, self.now_ms))

    def note(self, event: tuple[object, ...] | None) -> bool:
        """Keep an event; owner records go to flash."""
        if event is None:
            return False
        self.events.append(event)
        if event[0] == "owner":
            assert isinstance(event[1], bytes)
            self.owner = event[1]
        return True

    def send(self) -> None:
        """Put on the wire what the meter wants to send now."""
        while out := self.link.poll(self.now_ms):
            if out[0]:
                self.up.append(out)
            else:
                self.hellos.append(out[1])

    def deliver_up(self, *, dup: bool = False) -> None:
        """Bring the next frame to its twin."""
        epoch, payload = self.up.popleft()
        twin = self.twin(epoch)
        twin.act(twin.link.receive(payload, self.now_ms, 1_700_000_000_000 + self.now_ms, dup=dup))

    def deliver_down(self, epoch: int, *, dup: bool = False) -> None:
        """Bring the next frame of a twin to the meter."""
        payload = self.twin(epoch).down.popleft()
        self.note(self.link.receive(epoch, payload, self.now_ms, False, dup))

    def settle(self) -> None:
        """Deliver everything until both sides are silent."""
        self.send()
        while self.up or any(twin.down for twin in self.twins.values()):
            while self.up:
                self.deliver_up()
            for epoch, twin in self.twins.items():
                while twin.down:
                    self.deliver_down(epoch)
            self.send()

    def run(self, seconds: int) -> None:
        """Let time pass on a wire without faults."""
        for _ in range(seconds):
            self.settle()
            self.now_ms += 1000
        self.settle()
