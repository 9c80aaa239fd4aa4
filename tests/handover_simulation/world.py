"""A whole simulated world: meter, twins, operators, broker, API server, and who watches them.

    world = World(seed, folder)
    world.run(seconds)
    problems = world.problems()         # what is not as it should be once nothing goes wrong

Neighbours: `faults` (what goes wrong), `oracle` and `ledger` (what must hold at any time), `verdict`
(what must hold at the end), `seeds` (who runs it all).
"""

import copy
import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from meter_operator.desired import Json
from meter_operator.fleet import Fleet
from meter_operator.handover import Patience
from meter_operator.settings import Settings
from meter_pki.authorities import Authorities
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
from .oracle import IN_SECRETS, Oracle
from .phases import find_phase
from .scheduler import Scheduler
from .twin import Twin
from .verdict import find_problem

MASTER = bytes(range(32))
DEVICE = "house-1"
PATIENCE = Patience(progress_s=120, frozen_s=40, soak_s=5, final_s=90)
BACKUP_MS = 40_000
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
        fleet = Fleet(Authorities(one_bundle()), MASTER)  # type: ignore[arg-type]
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
        self.backups: list[Json] = []
        self._back_up()

    def _device_keys(self) -> list[bytes]:
        return [derive_key(self.meter_key, label, DEVICE) for label in ("owner", "hello")]

    def _declare(self) -> None:
        profile = _manifest("household", copy.deepcopy(PROFILE))
        self.cluster.store("twinprofiles", "household", profile)
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

    @property
    def stops_loads(self) -> bool:
        """Whether the profile has load control stopped."""
        profile = self.cluster.objects["twinprofiles", NAMESPACE, "household"]
        return bool(profile["spec"].get("loadControl") == "Stopped")

    def stop_loads(self, *, stopped: bool) -> None:
        """A user stops load control, or permits it again."""
        profile = self.cluster.objects["twinprofiles", NAMESPACE, "household"]

        def change() -> None:
            profile["spec"]["loadControl"] = "Stopped" if stopped else "Allowed"
            self.cluster.touch(profile)

        self.scheduler.tell(f"load control is {'stopped' if stopped else 'allowed'}")
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
        return find_problem(self)


def _manifest(name: str, spec: Json) -> Json:
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
