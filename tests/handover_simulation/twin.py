"""A twin of a simulated world: real store, link, gate, handover and host; the shell is played.

The store is a file and survives the process; everything else is lost at a kill.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from meter_twin.application_host import ApplicationHost
from meter_twin.gate_memory import load_gate_memory, save_gate_memory
from meter_twin.handover import Handover, Parties
from meter_twin.owner_gate import OwnerGate
from meter_twin.store import Batch, Store
from meter_twin.store_retention import delete_until, find_handed
from meter_wire.commands import Forward
from meter_wire.effects import ChainBroken, Effect, MeterHello, Quarantine, Send, StoreEntries
from meter_wire.twin_link import EpochKeys, TwinLink
from meter_wire.word import NO_WORD, Word, sign_word

from .api_server import NAMESPACE
from .broker import Broker, Session
from .clocks import BEGIN_S
from .exchange import Answer, Call, Relay, answer_taker
from .ledger import Entry
from .oracle import Broken
from .scheduler import Actor, Scheduler
from .tally import END, NAME, Tally, find_between, find_noted
from .tasks import TaskLoop
from .watched_store import WatchedStore

TICK_MS = 1_000
READ_MS = 20_000
FORWARD_TTL_MS = 5_000


class Twin(Actor):
    """One pod's container; `start` begins its process again on the same store."""

    def __init__(
        self, scheduler: Scheduler, broker: Broker, secret: dict[str, str], folder: Path,
        call: Call, looked: Callable[["Twin"], None], handed: set[Entry],
    ) -> None:  # fmt: skip
        """`secret`: keys.json of its Secret; `looked`: told whenever its rights may differ.

        `handed` is filled with the entries that its application is handed.
        """
        super().__init__()
        self.scheduler, self.broker, self.call, self._looked = scheduler, broker, call, looked
        self._handed = handed
        self.device, self.epoch = str(secret["device"]), int(secret["epoch"])
        self.keys = {name: bytes.fromhex(secret[name]) for name in ("up", "down", "ctl")}
        self.epoch_id = bytes.fromhex(secret["epochId"])
        self.path = folder / f"{self.device}-e{self.epoch}-{scheduler.random.getrandbits(32)}.db"
        self.effects: list[int] = []
        self.held: set[Entry] = set()
        """The numbers of all entries whose commit has returned, by any of its processes."""
        self.expired: dict[bytes, int] = {}
        """By incarnation, until where it has deleted entries because their time was over."""
        self.reaches_broker = True
        self.said: Word = NO_WORD
        self._rate = scheduler.random.choice((0.99, 1.0, 1.01))
        self._offset_ms = scheduler.random.randint(0, 10**9)
        self.store: Store | None = None
        self.session: Session | None = None

    @property
    def now_ms(self) -> int:
        """The clock of its node, which runs a little wrong."""
        return int(self.scheduler.now_ms * self._rate) + self._offset_ms

    # ---- life

    def start(self) -> None:
        """Begin the process."""
        self.alive = True
        self.life += 1
        self.paused_until_ms = 0
        is_new = not self.path.exists()
        store = self.store = WatchedStore(str(self.path), self.keep)
        if is_new:  # an identity of this world's chance
            store.store_id = self.scheduler.octets(8)
            store.save_properties({"store_id": store.store_id})
        self.gate = OwnerGate(
            self.epoch, self.epoch_id, self.keys["ctl"], load_gate_memory(self.store)
        )
        keys = EpochKeys(self.epoch, self.keys["up"], self.keys["down"])
        self.link = TwinLink(self.device, keys, store.store_id, store, self.scheduler.octets)
        kind: Any = Tally
        self.host = ApplicationHost(store, {NAME: (kind, Tally(self._handed.add))})
        relay: Any = Relay(lambda: self.perform(self.link.imported()))
        parties = Parties(self.device, NAMESPACE, store, self.gate, relay, self.host)
        carrier: Any = lambda: self  # noqa: E731
        self.handover = Handover(parties, carrier, self.say, lambda: self.now_ms)
        tasks = TaskLoop(self.scheduler, self)  # type: ignore[abstract]
        tasks.begin(self.handover.run())
        self.session = None
        self._published = b""
        self._asked_ms = 0
        self._tick(self.life)

    def kill(self) -> None:
        """Kill -9."""
        if self.alive:
            self.alive = False
            self.said = NO_WORD
            if self.session is not None:
                self.session.end()
            assert self.store is not None
            self.store.close()
            self.store = None

    def destroy(self) -> None:
        """The pod and its emptyDir are gone."""
        self.kill()
        self.held = set()
        for path in self.path.parent.glob(self.path.name + "*"):
            path.unlink()

    @property
    def ready(self) -> bool:
        return self.alive and self.gate.is_active

    @property
    def has_authority(self) -> bool:
        """Whether it would act on a third party if it were to decide just now."""
        return self.alive and self.gate.has_authority(
            self.now_ms, connected=self.session is not None
        )

    def expire(self, share: float) -> set[Entry]:
        """Delete so much of what is acknowledged and was handed on, as retention does; return it."""
        assert self.store is not None
        before = set(self.held)
        unread = find_between(self.store, find_noted(self.store).position, END)
        for incarnation, marks in self.store.marks().items():
            number = self.store.find_number(incarnation) or 0
            last = min(int(marks.stored * share), find_handed(self.host.handed, number))
            if number and self.store.find_entry(incarnation, last) is not None:
                with self.store.transaction() as connection:
                    delete_until(connection, number, last)
                self.expired[incarnation] = last
        self.held -= self.find_expired(self.held)
        early = self.find_expired(unread)
        if early and self.scheduler.broken is None:
            self.scheduler.broken = Broken(f"epoch {self.epoch} deletes {len(early)} unread")
        return before - self.held

    def find_expired(self, entries: Iterable[Entry]) -> set[Entry]:
        """Return those that this twin has deleted itself, and takes from nobody again."""
        return {entry for entry in entries if entry[1] <= self.expired.get(entry[0], 0)}

    def keep(self, entries: Iterable[Entry]) -> None:
        """Note that entries are committed, but for those whose time is over."""
        found = set(entries)
        self.held |= found - self.find_expired(found)

    def cut(self) -> None:
        """No way to the broker until further notice."""
        self.reaches_broker = False
        if self.alive and self.session is not None:
            self.session.end()

    # ---- broker

    def _topic(self, channel: str) -> str:
        return f"mt/{self.device}/{self.epoch}/{channel}"

    def _tick(self, life: int) -> None:
        now = self.now_ms
        if self.session is None and self.reaches_broker:
            self._connect()
        elif self.session is not None and now - self._asked_ms >= READ_MS:
            self._asked_ms = now
            self.gate.read_again()
            self.session.subscribe(self._topic("ctl"))
        self._feed()
        self._act()
        self.say()
        self.scheduler.after(
            TICK_MS, lambda: self.scheduler.act(self, life, lambda: self._tick(life))
        )

    def _feed(self) -> None:
        """Feed the application; what lay before it has to be handed to it, or was before."""
        assert self.store is not None
        if not self.handover.may_feed:
            return
        before = find_noted(self.store).position
        self.host.step(self.now_ms // 1000)
        passed = find_between(self.store, before, find_noted(self.store).position) - self._handed
        if passed and self.scheduler.broken is None:
            text = f"epoch {self.epoch} has passed {len(passed)} entries that it holds"
            self.scheduler.broken = Broken(text)

    def _act(self) -> None:
        """Something that third parties see, as often as we may: directly, and through the meter."""
        if self.link.is_open:
            self.gate.meet(self.now_ms)
        if self.gate.end_wait(self.now_ms):
            assert self.store is not None
            save_gate_memory(self.store, self.gate.memory)
        self._looked(self)
        if self.has_authority:
            self.effects.append(self.scheduler.now_ms)
            if self.link.is_open and self.scheduler.chance(25):
                _, effects = self.link.command(Forward(b"hello"), FORWARD_TTL_MS, self.now_ms)
                self.perform(effects)
        self.perform(self.link.poll(self.now_ms))

    def _connect(self) -> None:
        made: list[Session] = []

        def hear(topic: str, payload: bytes, retained: bool) -> None:
            if self.session is made[0]:
                self._hear(topic, payload, retained)

        def lost() -> None:
            if self.session is made[0]:
                self.session = None
                self.said = NO_WORD
                self.link.disconnected()
                self.gate.session_lost()

        farewell = json.dumps({"online": False, "epoch": self.epoch}).encode()
        client, will = f"{self.device}/{self.epoch}", (self._topic("state"), farewell)
        session = self.broker.connect(client, hear, lost, self, will)
        if session is None:
            return
        made.append(session)
        self.session = session
        self._asked_ms = self.now_ms
        self._published = b""
        session.subscribe(self._topic("up"))
        session.subscribe(self._topic("ctl"))
        self.perform(self.link.connected(self.now_ms))

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic.endswith("/ctl"):
            self._control(payload)
        elif not self.gate.is_retired:
            now = self.now_ms
            utc_ms = BEGIN_S * 1000 + self.scheduler.now_ms
            self.perform(self.link.receive(payload, now, utc_ms, retained=retained))
        self.say()

    def _control(self, payload: bytes) -> None:
        verdict = self.gate.receive(payload, self._asked_ms)
        if not verdict.accepted or self.gate.record is None:
            return
        assert self.store is not None
        save_gate_memory(self.store, self.gate.memory)
        self.handover.control(self.gate.record)
        self._looked(self)

    def perform(self, effects: list[Effect]) -> None:
        """Do what the link says."""
        assert self.store is not None
        for effect in effects:
            match effect:
                case Send(payload):
                    if self.session is not None:
                        self.session.publish(self._topic("down"), payload)
                case StoreEntries():
                    self._store(effect)
                case MeterHello():
                    self.store.save_hello(effect.incarnation, effect.number, self.now_ms // 1000)
                case Quarantine() | ChainBroken():
                    raise AssertionError(f"{type(effect).__name__} at {effect.seq}")
                case _:
                    pass

    def _store(self, effect: StoreEntries) -> None:
        assert self.store is not None
        incarnation = effect.incarnation
        batch = Batch(incarnation, effect.entries, effect.holes, effect.stored, effect.chain)
        self.store.ingest([batch], self.now_ms // 1000)
        self.perform(self.link.stored(effect.batch))

    def answer(self, epoch: int, path: str) -> Answer:
        """Answer the twin of an epoch on the port for other twins."""
        return answer_taker(self.handover, self.device, epoch, path)

    def say(self) -> None:
        """Publish the state, if it is another one."""
        if self.session is None:
            return
        word = self.handover.word(joined=self.link.is_open, waits=self.gate.waits(self.now_ms))
        if self._published and word == self.said:
            return
        self.said = word
        signed = sign_word(word, self.epoch, self.keys["ctl"])
        memory = self.gate.memory
        document = {"online": True, "epoch": self.epoch}
        document |= {"term": memory.term, "counter": memory.counter}
        self._published = json.dumps(document | {"handover": signed}).encode()
        self.session.publish(self._topic("state"), self._published, retain=True)
        self._looked(self)
