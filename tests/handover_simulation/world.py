"""A whole simulated world: meter, twins, operators, broker, API server, and what must hold.

world = World(seed, folder)
world.run(seconds)                  # faults as the seed chooses
world.calm(seconds)                 # no more faults
world.check()                       # raises Broken with what is wrong
"""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meter_operator.fleet import Fleet
from meter_operator.handover import Patience
from meter_operator.settings import Settings
from meter_pki.authority import Authority, Bundle

from .broker import Broker
from .meter import Meter
from .operator_process import NAMESPACE, Lease, OperatorProcess, SlowCluster, describe
from .scheduler import Scheduler
from .twin import Twin

MASTER = bytes(range(32))
DEVICE = "house-1"
PATIENCE = Patience(progress_s=120, frozen_s=40, soak_s=5, final_s=90)
PROFILE = {
    "applications": {"offered": [{"name": "metering-data"}], "default": ["metering-data"]},
}


class Broken(AssertionError):  # noqa: N818 - reads as a sentence
    """Something that must hold does not."""


class OneBundle:
    """An authority that signs once: certificates are not what is simulated."""

    def __init__(self) -> None:
        authority = Authority.create(datetime.now(UTC))
        from meter_pki.identities import twin_identity

        self._bundle = authority.issue(twin_identity(DEVICE, 1, NAMESPACE), datetime.now(UTC))

    def issue(self, identity: Any, now: datetime) -> Bundle:
        del identity, now
        return self._bundle


BUNDLE = OneBundle()


class World:
    """One meter's world."""

    def __init__(self, seed: int, folder: Path, *, operators: int = 2) -> None:
        self.scheduler = Scheduler(seed)
        self.folder = folder
        self.broker = Broker(self.scheduler)
        self.cluster = SlowCluster(self.scheduler)
        self.cluster.watchers.append(self._kubelet)
        fleet = Fleet(BUNDLE, MASTER)  # type: ignore[arg-type]
        self.twins: dict[str, Twin] = {}  # by uid of the pod
        self.addresses: dict[str, Twin] = {}
        self.dead: list[Twin] = []
        self._declare()
        capacity = self.scheduler.random.choice((12, 30, 400))
        key = fleet.meter_key(DEVICE, 1)
        self.meter = Meter(self.scheduler, self.broker, DEVICE, key, capacity)
        self.excused: set[tuple[bytes, int]] = set()
        self._faulted: set[int] = set()
        self._partitioned: dict[int, int] = {}
        self._backup: dict[str, Any] = {}
        settings = Settings(
            namespace=NAMESPACE, watch_namespaces=(NAMESPACE,), broker_host="broker",
            broker_port=8883, twin_image="localhost/twin:1", identity=Path("/nowhere"),
            trust=Path("/nowhere"), handover=True,
        )  # fmt: skip
        lease = Lease()
        self.operators = [
            OperatorProcess(
                f"operator-{number}",
                self.scheduler,
                self.cluster,
                self.broker,
                lease,
                fleet,
                replace(settings, holder=f"operator-{number}"),
                PATIENCE,
            )
            for number in range(operators)
        ]
        for operator in self.operators:
            operator.start()
        self._poll()
        self.remember_status()

    def _declare(self) -> None:
        spec = {
            "protocol": "link-v1", "keyVersion": 1, "device": DEVICE, "profile": "household",
            "meteringPoint": {"id": "541448860000000004", "timezone": "UTC"},
            "capturePeriodSeconds": 60, "twin": {"version": "1", "store": {"type": "EmptyDir"}},
        }  # fmt: skip
        for kind, name, body in (
            ("twinprofiles", "household", PROFILE), ("smartmeters", DEVICE, spec)
        ):  # fmt: skip
            manifest = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": body}
            self.cluster._store((kind, NAMESPACE, name), manifest)
            self.cluster.touch(manifest)

    # ---- the API server's view

    @property
    def resource(self) -> dict[str, Any]:
        return self.cluster.objects["smartmeters", NAMESPACE, DEVICE]

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.resource.get("status") or {}
        return found

    def upgrade(self) -> None:
        """A user wants another version."""
        self._want(1)

    def roll_back(self) -> None:
        """A user wants the version before."""
        self._want(-1)

    def _want(self, step: int) -> None:
        def change() -> None:
            twin = self.resource["spec"]["twin"]
            twin["version"] = str(max(1, int(twin["version"]) + step))
            self.cluster.touch(self.resource)

        self.cluster.change(change)

    # ---- nodes

    def _kubelet(self, kind: str, body: dict[str, Any], gone: bool) -> None:
        if kind != "pods":
            return
        if gone:
            for uid, twin in list(self.twins.items()):
                if self._pod_of(uid) is None:
                    del self.twins[uid]
                    self._end(twin)
            return
        uid = body["metadata"]["uid"]
        if uid not in self.twins and self._pod_of(uid) is not None:
            self._start(uid, body)

    def _pod_of(self, uid: str) -> dict[str, Any] | None:
        for (kind, _, _), body in self.cluster.objects.items():
            if kind == "pods" and body["metadata"]["uid"] == uid:
                return body
        return None

    def _start(self, uid: str, body: dict[str, Any]) -> None:
        secret = self.cluster.objects.get(("secrets", NAMESPACE, body["metadata"]["name"]))
        if secret is None:
            self.scheduler.after(1000, lambda: self._kubelet("pods", body, False))
            return
        import base64

        keys = json.loads(base64.b64decode(secret["data"]["keys.json"]))
        twin = Twin(self.scheduler, self.broker, keys, self.folder, self._call)
        self.twins[uid] = twin
        address = f"10.0.0.{len(self.addresses) + 1}"
        self.addresses[f"{address}:8443"] = twin

        def begin() -> None:
            pod = self._pod_of(uid)
            if pod is None or self.twins.get(uid) is not twin:
                return
            twin.start()

            def change() -> None:
                pod["status"] = {"phase": "Running", "podIP": address, "conditions": []}
                self.cluster.touch(pod)

            self.cluster.change(change)

        self.scheduler.after(self.scheduler.random.randint(300, 6000), begin)

    def _poll(self) -> None:
        """Readiness, as kubelets ask for it."""
        for uid, twin in self.twins.items():
            pod = self._pod_of(uid)
            if pod is None or "status" not in pod:
                continue
            truth = "True" if twin.ready else "False"
            shown = [{"type": "Ready", "status": truth}]
            if pod["status"].get("conditions") != shown:

                def change(pod: dict[str, Any] = pod, shown: list[Any] = shown) -> None:
                    pod["status"]["conditions"] = shown
                    self.cluster.touch(pod)

                self.cluster.change(change)
        self.scheduler.after(1000, self._poll)

    def _end(self, twin: Twin) -> None:
        """The pod is gone from the API; the process a little later.

        What a fault has taken is excused, as far as nobody else holds it.
        """
        after_s = self._partitioned.get(id(twin), 0)

        def destroy() -> None:
            if id(twin) in self._faulted:
                others = [one.holds for one in self.twins.values() if one is not twin]
                self.excused |= twin.holds.difference(*others)
            twin.destroy()
            self.dead.append(twin)

        self.scheduler.after(after_s * 1000 + self.scheduler.random.randint(10, 4000), destroy)

    def lose_store(self, pod: str, after_s: int = 0) -> None:
        """A fault takes a pod and its emptyDir.

        With `after_s` its node is cut off from the API server for so long, nothing else: the twin
        goes on, with nobody to tell it but the broker.
        """
        uid = self.cluster.objects["pods", NAMESPACE, pod]["metadata"]["uid"]
        lost = self.twins.get(uid)
        if lost is not None:
            self._faulted.add(id(lost))
            self._partitioned[id(lost)] = after_s
        self.cluster.change(lambda: self.cluster.objects.pop(("pods", NAMESPACE, pod)))

    def remember_status(self) -> None:
        """Keep a backup of what the API server has, as administrators do."""
        self._backup = copy.deepcopy(self.status)
        self.scheduler.after(40_000, self.remember_status)

    def restore_status(self) -> None:
        """Put the backup back."""
        backup = copy.deepcopy(self._backup)

        def change() -> None:
            self.resource["status"] = backup
            self.cluster.touch(self.resource)

        self.cluster.change(change)

    def _call(
        self, address: str, ask: Callable[[Twin], object], answered: Callable[[object | None], None]
    ) -> None:
        chance = self.scheduler.random
        twin = self.addresses.get(address)
        lost = self.scheduler.chance(3)

        def arrive() -> None:
            answer = None
            if twin is not None and twin.alive and not lost:
                answer = twin.serve(ask)
            self.scheduler.after(chance.choice((1, 5, 40)), lambda: answered(answer))

        self.scheduler.after(chance.choice((1, 5, 40)), arrive)

    # ---- time and truth

    def run(self, seconds: int) -> None:
        self.scheduler.run_until(self.scheduler.now_ms + seconds * 1000)

    @property
    def active(self) -> Twin | None:
        epoch = self.status.get("epoch")
        return next((t for t in self.twins.values() if t.epoch == epoch and t.alive), None)

    def check_effects(self) -> None:
        """Third parties never see an older epoch after a newer one."""
        seen = sorted(pair for twin in (*self.twins.values(), *self.dead) for pair in twin.effects)
        highest = 0
        for moment, epoch in seen:
            if epoch < highest:
                raise Broken(f"epoch {epoch} acted at {moment} ms, after epoch {highest}")
            highest = max(highest, epoch)

    def check(self) -> None:
        """Everything that must hold once no more faults happen.

        Raises:
            Broken: with what is wrong.
        """
        self.check_effects()
        where = describe(self.status)
        if self.status.get("handover"):
            raise Broken(f"a handover does not end: {where}")
        twin = self.active
        if twin is None or not twin.ready:
            raise Broken(f"no twin serves: {where}")
        if not self.meter.link.serves():
            raise Broken(f"the meter does not speak to its twin: {where}")
        if len(self.twins) != 1:
            left = sorted(one.epoch for one in self.twins.values())
            raise Broken(f"older twins are left: {left}, {where}")
        assert twin.store is not None
        holds = twin.holds
        for (incarnation, seq), raw in self.meter.log.items():
            held = twin.store.find_entry(incarnation, seq)
            if held is not None and held != raw:
                raise Broken(f"entry {seq} has other bytes: {where}")
        missing = sorted(
            seq
            for incarnation, seq in self.meter.log.keys() - holds - self.excused
            if seq not in self.meter.ring.lost
        )
        unsent = self.meter.ring.head - 2
        missing = [seq for seq in missing if seq < unsent]
        if missing:
            raise Broken(f"{len(missing)} entries are missing, the first {missing[0]}: {where}")
