"""A twin of a simulated world: real store, link, gate and succession; only the shell is played.

The store is a file and survives the process; everything else is lost at a kill.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

from meter_twin.gate_memory import load_gate_memory, save_gate_memory
from meter_twin.owner_gate import OwnerGate
from meter_twin.store import Batch, Store
from meter_twin.store_coverage import StoreShelf, arrange, import_entries
from meter_twin.succession import NotATakerError, Succession
from meter_twin.taking import AskCoverage, Import, Request, Told
from meter_wire.coverage import encode_coverage, parse_coverage
from meter_wire.effects import Effect, MeterHello, Quarantine, Send, StoreEntries
from meter_wire.twin_link import EpochKeys, TwinLink
from meter_wire.word import sign_word

from .broker import Broker, Session
from .scheduler import Scheduler

TICK_MS = 700
READ_MS = 20_000
Call = Callable[[str, Callable[["Twin"], object], Callable[[object | None], None]], None]


class Twin:
    """One pod's container; `restart` begins its process again on the same store."""

    def __init__(
        self, scheduler: Scheduler, broker: Broker, secret: dict[str, str], folder: Path, call: Call
    ) -> None:
        """`secret`: keys.json of the pod's Secret; `call`: asks another twin by its address."""
        self.scheduler, self.broker, self._call = scheduler, broker, call
        self.device, self.epoch = str(secret["device"]), int(secret["epoch"])
        self._keys = {name: bytes.fromhex(secret[name]) for name in ("up", "down", "ctl")}
        self._epoch_id = bytes.fromhex(secret["epochId"])
        self.path = folder / f"{self.device}-e{self.epoch}-{scheduler.random.getrandbits(32)}.db"
        self.effects: list[tuple[int, int]] = []
        self.reaches_broker = True
        self._rate = scheduler.random.choice((0.99, 1.0, 1.01))
        self._offset_ms = scheduler.random.randint(0, 10**9)
        self.alive = False
        self.generation = 0
        self.store: Store | None = None

    @property
    def now_ms(self) -> int:
        """The clock of its node, which runs a little wrong."""
        return int(self.scheduler.now_ms * self._rate) + self._offset_ms

    # ---- life

    def start(self) -> None:
        """Begin the process."""
        self.alive = True
        self.generation += 1
        self.store = Store(str(self.path))
        self.gate = OwnerGate(
            self.epoch, self._epoch_id, self._keys["ctl"], load_gate_memory(self.store)
        )
        self.shelf = StoreShelf(self.store)
        self.succession = Succession(self.store.store_id, self.shelf)
        keys = EpochKeys(self.epoch, self._keys["up"], self._keys["down"])
        self.link = TwinLink(
            self.device, keys, self.store.store_id, self.store, self.scheduler.bytes
        )
        self._session: Session | None = None
        self._published = b""
        self._asked_ms = 0
        self._tick(self.generation)

    def kill(self) -> None:
        """Kill -9."""
        if self.alive:
            self.alive = False
            if self._session is not None:
                self._session.end()
            assert self.store is not None
            self.store.close()
            self.store = None

    def destroy(self) -> None:
        """The pod and its emptyDir are gone."""
        self.kill()
        for path in self.path.parent.glob(self.path.name + "*"):
            path.unlink()

    @property
    def holds(self) -> set[tuple[bytes, int]]:
        """The numbers of all entries in its file, whether the process runs or not."""
        if not self.path.exists():
            return set()
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute(
                "SELECT i.id, e.seq FROM entry e JOIN incarnation i ON i.number = e.incarnation"
            )
            return set(rows.fetchall())

    @property
    def ready(self) -> bool:
        return self.alive and self.gate.is_active

    def cut(self) -> None:
        """No way to the broker until further notice."""
        self.reaches_broker = False
        if self.alive and self._session is not None:
            self._session.end()

    # ---- broker

    def _topic(self, channel: str) -> str:
        return f"mt/{self.device}/{self.epoch}/{channel}"

    def _tick(self, generation: int) -> None:
        if not self.alive or generation != self.generation:
            return
        now = self.now_ms
        if self._session is None and self.reaches_broker:
            self._connect(generation)
        elif self._session is not None and now - self._asked_ms >= READ_MS:
            self._asked_ms = now
            self.gate.read_again()
            self._session.subscribe(self._topic("ctl"))
        self._take()
        self._act()
        self._say()
        self.scheduler.after(TICK_MS, lambda: self._tick(generation))

    def _act(self) -> None:
        """Something that third parties see, as often as we may."""
        if self.gate.end_wait(self.now_ms):
            assert self.store is not None
            save_gate_memory(self.store, self.gate.memory)
        if self.gate.has_authority(self.now_ms, connected=self._session is not None):
            self.effects.append((self.scheduler.now_ms, self.epoch))

    def _connect(self, generation: int) -> None:
        made: list[Session] = []

        def current() -> bool:
            return bool(made) and self.alive and self._session is made[0]

        def hear(topic: str, payload: bytes, retained: bool) -> None:
            if current() and generation == self.generation:
                self._hear(topic, payload, retained)

        def lost() -> None:
            if current():
                self._session = None
                self.link.disconnected()
                self.gate.session_lost()

        session = self.broker.connect(f"{self.device}/{self.epoch}", hear, lost)
        if session is None:
            return
        made.append(session)
        self._session = session
        self._asked_ms = self.now_ms
        self._published = b""
        session.subscribe(self._topic("up"))
        session.subscribe(self._topic("ctl"))
        self._perform(self.link.connected(self.now_ms))

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic.endswith("/ctl"):
            self._control(payload)
        elif not self.gate.is_retired:
            now = self.now_ms
            self._perform(self.link.receive(payload, now, None, retained=retained))
        self._say()

    def _control(self, payload: bytes) -> None:
        verdict = self.gate.receive(payload, self._asked_ms)
        if not verdict.accepted or self.gate.record is None:
            return
        assert self.store is not None
        save_gate_memory(self.store, self.gate.memory)
        self.succession.control(self.gate.record)

    def _perform(self, effects: list[Effect]) -> None:
        assert self.store is not None
        for effect in effects:
            match effect:
                case Send(payload):
                    if self._session is not None:
                        self._session.publish(self._topic("down"), payload)
                case StoreEntries():
                    batch = Batch(
                        effect.incarnation, effect.entries, effect.holes, effect.stored,
                        effect.chain,
                    )  # fmt: skip
                    self.store.ingest([batch], self.now_ms // 1000)
                    self._perform(self.link.stored(effect.batch))
                case MeterHello():
                    self.store.save_hello(effect.incarnation, effect.number, self.now_ms // 1000)
                case Quarantine():
                    raise AssertionError(f"conflict at {effect.seq}")
                case _:
                    pass

    def _say(self) -> None:
        if self._session is None:
            return
        word = sign_word(
            self.succession.word(joined=self.link.is_open, waits=self.gate.waits(self.now_ms)),
            self.epoch,
            self._keys["ctl"],
        )
        document = {"online": True, "epoch": self.epoch, "handover": word}
        payload = json.dumps(document).encode()
        if payload != self._published:
            self._published = payload
            self._session.publish(self._topic("state"), payload, retain=True)

    # ---- other twins

    def _take(self) -> None:
        request = self.succession.taker.next_request(self.now_ms)
        if request is None:
            return
        generation = self.generation
        epoch = self.epoch

        def ask(donor: Twin) -> object:
            if isinstance(request, AskCoverage):
                told = donor.succession.tell(epoch)
                donor._say()
                return json.dumps(encode_coverage(told.coverage)), told.frozen, told.final
            donor.succession.check_taker(epoch)
            return donor.shelf.entries_of(request.block.incarnation, request.block.first)

        def answered(answer: object | None) -> None:
            if self.alive and generation == self.generation:
                self._taken(request, answer)

        self._call(request.donor.address, ask, answered)

    def _taken(self, request: Request, answer: object | None) -> None:
        taker, now = self.succession.taker, self.now_ms
        if answer is None or self.gate.is_retired:
            taker.failed(request, now)
            return
        if isinstance(request, AskCoverage):
            text, frozen, final = answer  # type: ignore[misc]
            told = Told(parse_coverage(json.loads(text)), frozen, final)
            assert self.store is not None
            arrange(self.store, [one.incarnation for one in told.coverage.stretches], now // 1000)
            imports = taker.receive_coverage(request, told, now)
        else:
            imports = taker.receive_entries(request, answer, now)  # type: ignore[arg-type]
        self._import(imports)
        self._say()
        self._take()

    def _import(self, imports: list[Import]) -> None:
        assert self.store is not None
        while imports:
            (one,) = imports
            now = self.now_ms
            import_entries(self.store, one.incarnation, one.entries, one.holes, now // 1000)
            self._perform(self.link.imported())
            imports = self.succession.taker.imported(now)

    def serve(self, ask: Callable[["Twin"], object]) -> object | None:
        """Answer another twin; None for a refusal."""
        try:
            return ask(self)
        except NotATakerError:
            return None
