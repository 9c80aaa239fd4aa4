"""A whole simulated world: meter, twins, operators, broker, API server, and who watches them.

    world = World(seed, folder)
    world.run(seconds)
    problems = world.problems()         # what is not as it should be once nothing goes wrong

Neighbours: `faults` (what goes wrong), `oracle` and `ledger` (what must hold), `seeds` (who runs
it all).
"""

import copy
import functools
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from meter_operator.desired import Json
from meter_operator.fleet import Fleet
from meter_operator.handover import Patience
from meter_operator.hashes import hash_spec
from meter_operator.settings import Settings
from meter_pki.authority import Authority, Bundle
from meter_pki.identities import twin_identity
from meter_wire.names import ANNOTATION_PAUSED
from meter_wire.portable.keys import derive_key
from meter_wire.portable.owner import parse_owner
from meter_wire.word import NO_WORD, Word

from .api_server import NAMESPACE, SlowCluster
from .broker import Broker
from .clocks import BEGIN
from .ledger import Ledger
from .meter import Meter
from .nodes import Nodes
from .operator_process import OperatorProcess, Surroundings
from .oracle import IN_SECRETS, Broken, Oracle
from .phases import find_phase
from .scheduler import Scheduler
from .tally import find_noted
from .twin import Twin

MASTER = bytes(range(32))
DEVICE = "house-1"
PATIENCE = Patience(progress_s=120, frozen_s=40, soak_s=5, final_s=90)
BACKUP_MS = 40_000
IN_FLIGHT = 6
PROFILE = {
    "applications": {"offered": [{"name": "metering-data"}], "default": ["metering-data"]},
}
SPEC = {
    "protocol": "link-v1", "keyVersion": 1, "device": DEVICE, "profile": "household",
    "meteringPoint": {"id": "541448860000000004", "timezone": "UTC"},
    "capturePeriodSeconds": 60, "twin": {"version": "1", "store": {"type": "EmptyDir"}},
}  # fmt: skip
SETTINGS = Settings(
    namespace=NAMESPACE, watch_namespaces=(NAMESPACE,), broker_host="broker", broker_port=8883,
    twin_image="localhost/twin:1", identity=Path("/nowhere"), trust=Path("/nowhere"),
    handover=True,
)  # fmt: skip


class OneBundle:
    """An authority that signs once: certificates are not what is simulated."""

    def __init__(self) -> None:
        identity = twin_identity(DEVICE, 1, NAMESPACE)
        self.bundle = Authority.create(BEGIN).issue(identity, BEGIN)

    def issue(self, identity: Any, now: Any) -> Bundle:
        del identity, now
        return self.bundle


@functools.cache
def one_bundle() -> OneBundle:
    return OneBundle()


class World:
    """One meter's world."""

    def __init__(self, seed: int, folder: Path, *, operators: int = 2) -> None:
        scheduler = self.scheduler = Scheduler(seed)
        self.ledger = Ledger(lambda: (twin.held for twin in self.nodes.lasting))
        self.oracle = Oracle(scheduler, self.ledger)
        self.ledger.fail = self.oracle.fail
        self.phase_changed: Callable[[str], None] = lambda _phase: None
        self._phase, self._newest = "", 0
        self.broker = Broker(scheduler)
        self.broker.watchers.append(self.oracle.said)
        self.cluster = SlowCluster(scheduler)
        self.cluster.seen = self._seen
        self.nodes = Nodes(
            *(scheduler, self.cluster, self.broker, folder, self.oracle, self.ledger),
            self._look_at_phase,
        )
        fleet = Fleet(one_bundle(), MASTER)  # type: ignore[arg-type]
        self.meter_key = fleet.meter_key(DEVICE, 1)
        self.oracle.keep_secret(one_bundle().bundle.key, IN_SECRETS)
        for secret in (MASTER, self.meter_key, *self._device_keys()):
            self.oracle.keep_secret(secret)
        self.cluster.change(self._declare)
        self.meter = Meter(
            *(scheduler, self.broker, DEVICE, self.meter_key),
            self.ledger.left_ring, self.oracle.forwarded,
        )  # fmt: skip
        self.meter.remembered = self._meter_heard
        self.nodes.ring = self.ring
        self.nodes.find_active = self._find_active
        around = Surroundings(scheduler, self.cluster, self.broker, fleet, SETTINGS, PATIENCE)
        names = [f"operator-{number}" for number in range(operators)]
        self.operators = [
            OperatorProcess(name, around._replace(settings=replace(SETTINGS, holder=name)))
            for name in names
        ]
        self.cluster.deciding = self._deciding
        for operator in self.operators:
            operator.start()
        self.late = 0
        """Entries that came when the applications had passed them as a hole, in every twin."""
        self.backups: list[Json] = []
        self._back_up()

    def _device_keys(self) -> list[bytes]:
        return [derive_key(self.meter_key, label, DEVICE) for label in ("owner", "hello")]

    def _declare(self) -> None:
        self.cluster.store("twinprofiles", "household", _manifest("household", PROFILE))
        self.cluster.store("smartmeters", DEVICE, _manifest(DEVICE, copy.deepcopy(SPEC)))

    # ---- watching

    def _seen(self, kind: str, body: Json, gone: bool) -> None:
        if not gone:
            self.oracle.seen(kind, body)
        if kind == "smartmeters":
            self._newest = max(self._newest, self.status.get("epoch") or 0)
            self._look_at_phase()

    def _look_at_phase(self) -> None:
        phase = self.phase
        if phase != self._phase:
            self._phase = phase
            self.phase_changed(phase)

    @property
    def phase(self) -> str:
        """Where the handover is."""
        return find_phase(self.status, self._word_of)

    def _word_of(self, epoch: int) -> Word | None:
        for twin in self.nodes.twins.values():
            if twin.epoch == epoch and twin.alive and twin.said is not NO_WORD:
                return twin.said
        return None

    def _meter_heard(self, record: bytes) -> None:
        owner = parse_owner(record, self._device_keys()[0])
        text = f"the meter knows: active {owner.active}, candidate {owner.candidate}"
        self.scheduler.tell(f"{text}, counter {owner.counter}")
        for epoch, epoch_id in (
            (owner.active, owner.active_id), (owner.candidate, owner.candidate_id)
        ):  # fmt: skip
            if epoch:
                self.oracle.named(epoch, epoch_id)

    def _deciding(self) -> None:
        actor = self.scheduler.actor
        if isinstance(actor, OperatorProcess):
            actor.before_decision()

    # ---- the API server's view

    @property
    def resource(self) -> Json:
        return self.cluster.objects["smartmeters", NAMESPACE, DEVICE]

    @property
    def status(self) -> Json:
        found: Json = self.resource.get("status") or {}
        return found

    def want(self, step: int) -> None:
        """A user wants another version: so many higher or lower."""

        def change() -> None:
            twin = self.resource["spec"]["twin"]
            twin["version"] = str(max(1, int(twin["version"]) + step))
            self.cluster.touch(self.resource)

        self.cluster.change(change)

    def pause(self, *, paused: bool) -> None:
        """A user lets the operator's hands off the meter, or on it again."""

        def change() -> None:
            notes = self.resource["metadata"].setdefault("annotations", {})
            notes[ANNOTATION_PAUSED] = str(paused).lower()
            self.cluster.touch(self.resource)

        self.cluster.change(change)

    def _back_up(self) -> None:
        """Keep what the API server has, as administrators do: the oldest ones and the newest."""
        lease = self.cluster.objects.get(("leases", NAMESPACE, "metertwin-operator"))
        made = copy.deepcopy({"status": self.status, "lease": lease})
        self.backups = [*self.backups[:2], *self.backups[2:][-2:], made]
        self.scheduler.after(BACKUP_MS, self._back_up)

    # ---- time and truth

    def run(self, seconds: float) -> None:
        self.scheduler.run_until(self.scheduler.now_ms + int(seconds * 1000))

    def ring(self) -> list[tuple[bytes, int]]:
        """Return what the meter's ring holds."""
        return [(self.meter.ring.incarnation, seq) for seq in self.meter.ring.held]

    def _find_active(self) -> Twin | None:
        """Return the twin that became active last, whether its process is there or not.

        A status that was put back may name an older one; whoever decided before knew this one.
        """
        return next((t for t in self.nodes.twins.values() if t.epoch == self._newest), None)

    @property
    def active(self) -> Twin | None:
        epoch = self.status.get("epoch")
        twins = self.nodes.twins.values()
        return next((t for t in twins if t.epoch == epoch and t.alive), None)

    def problems(self) -> str:
        """Return what has not come to rest, empty if everything has."""
        status, twin = self.status, self.active
        if status.get("handover"):
            return f"a handover does not end: {status['handover']['phase']}"
        if twin is None or not twin.ready:
            return f"no twin serves: {twin.gate.label if twin else 'there is none'}"
        if not twin.has_authority:
            return "the twin that serves has no authority"
        if not self.meter.link.serves():
            return "the meter does not speak to its twin"
        if self.nodes.leaving or len(self.nodes.twins) != 1:
            return f"older twins are left: {sorted(one.epoch for one in self.nodes.all)}"
        owner = self.meter.link.owner
        if owner is None:
            return "the meter knows no owner"
        known = (owner.active, owner.active_id.hex(), owner.highest, owner.counter)
        told = (status["epoch"], status["epochId"], status["highestEpoch"], status["ownerCounter"])
        if known != told or owner.candidate:
            return f"the meter knows another decision: {known} and candidate {owner.candidate}"
        pod = self.cluster.objects["pods", NAMESPACE, f"{DEVICE}-e{twin.epoch}"]
        made_for = pod["metadata"]["annotations"]["metertwin.io/spec-hash"]
        if made_for != hash_spec(self.resource["spec"]):
            return "the twin is not the one that the user wants"
        missing = self.missing(twin)
        if missing:
            return f"{len(missing)} entries are missing, the first {missing[0][1]}"
        return self._find_unread(twin)

    def _find_unread(self, twin: Twin) -> str:
        """Return what the application of a twin should have been handed, empty if it was."""
        if twin.host.failed or twin.store is None:
            return "an error has stopped the application"
        rows = twin.store.connection.execute(
            "SELECT number, id, seq FROM entry JOIN incarnation ON number = incarnation"
            " WHERE seq <= stored"
        ).fetchall()
        noted = find_noted(twin.store)
        if noted.twice:
            raise Broken(f"{noted.twice} entries were handed to the application twice")
        if self.meter.measures:
            return ""
        unread = {(one, seq) for _, one, seq in rows} - noted.entries
        passed = {(one, seq) for number, one, seq in rows if (number, seq) <= noted.position}
        late = (unread & passed) - self.nodes.handed
        self.late = len(late)
        lost = sorted(seq for _, seq in unread - late)
        return f"{len(lost)} entries were not handed to the application: {lost[:5]}" if lost else ""

    def missing(self, twin: Twin) -> list[tuple[bytes, int]]:
        """Return the entries that a twin should hold, and does not.

        Those of the last seconds may be on their way while the meter measures.
        """
        entries = list(self.meter.log)
        if self.meter.measures:
            del entries[-IN_FLIGHT:]
        over = twin.find_expired(entries)
        known = twin.held | over
        return [e for e in entries if e not in known and e not in self.ledger.excused]

    def verify_store(self) -> None:
        """Compare the file of the serving twin with the meter's own log.

        Raises:
            Broken: it has other bytes, an entry that was never measured, or not what it says.
        """
        twin = self.active
        if twin is None:
            raise Broken("no twin serves")
        with closing(sqlite3.connect(twin.path)) as connection:
            rows = connection.execute(
                "SELECT i.id, e.seq, e.raw FROM entry e JOIN incarnation i"
                " ON i.number = e.incarnation"
            ).fetchall()
        held = {(incarnation, seq): raw for incarnation, seq, raw in rows}
        if len(held) != len(rows) or held.keys() != twin.held:
            raise Broken("the store's file is not what was committed")
        for entry, raw in held.items():
            if self.meter.log.get(entry) != raw:
                raise Broken(f"entry {entry[1]} has other bytes than were measured")


def _manifest(name: str, spec: Json) -> Json:
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
