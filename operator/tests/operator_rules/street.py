"""An operator without network: real reconciler, cluster in memory, a broker that is a list."""

import copy
from datetime import UTC, datetime
from pathlib import Path

from meter_operator.cache import Cache
from meter_operator.cluster import ClusterError
from meter_operator.desired import Key
from meter_operator.events import Events
from meter_operator.fleet import Fleet
from meter_operator.memory_cluster import MemoryCluster
from meter_operator.reconciler import Reconciler
from meter_operator.settings import Settings
from meter_pki.authorities import Authorities
from meter_pki.authority import Authority

NAMESPACE = "street"
MASTER = bytes(range(32))
AUTHORITY = Authority.create(datetime.now(UTC))
PROFILE = {
    "twin": {"version": "", "image": ""},
    "applications": {
        "offered": [
            {
                "name": "metering-data",
                "options": [
                    {
                        "name": "retentionDays",
                        "type": "Integer",
                        "minimum": 1,
                        "maximum": 60,
                        "default": 10,
                    },
                    {"name": "mode", "type": "String", "allowed": ["plain", "rich"]},
                    {"name": "verbose", "type": "Boolean"},
                ],
            },
            {"name": "power-quality"},
        ],
        "default": ["metering-data", "power-quality"],
    },
    "engines": {"offered": {"encrypt": ["sealed-box"]}, "default": {"encrypt": "sealed-box"}},
}
SPEC = {
    "protocol": "link-v1",
    "keyVersion": 1,
    "meteringPoint": {
        "id": "541448860000000004",
        "scheme": "EAN",
        "timezone": "Europe/Brussels",
        "feeder": "feeder-1",
    },
    "profile": "household",
    "twin": {"version": "", "store": {"type": "EmptyDir"}},
    "capturePeriodSeconds": 60,
    "reportSpreadSeconds": 0,
}


class Fault:
    """Fails one write, the n-th, before or after it was done."""

    def __init__(self, number, when):
        self.number, self.when, self.seen, self.hit = number, when, 0, False

    def __call__(self, when, method, path):
        if "/events" in path or when != self.when:
            return
        self.seen += 1
        if self.seen == self.number:
            self.hit = True
            raise ClusterError(f"{method} {path}", 0, "connection reset")


class ListPublisher:
    """Keeps the retained messages as a broker would."""

    term = 7

    def __init__(self):
        self.retained = {}

    async def publish(self, messages):
        for message in messages:
            assert message.retain
            self.retained[message.topic] = message.payload


class Operator:
    """One operator process; `restart` begins another on the same cluster."""

    def __init__(self):
        self.cluster = MemoryCluster()
        self.publisher = ListPublisher()
        self.fleet = Fleet(Authorities(AUTHORITY), MASTER)
        self.settings = Settings(
            namespace=NAMESPACE,
            watch_namespaces=(NAMESPACE,),
            broker_host="broker",
            broker_port=8883,
            twin_image="localhost/metertwin/twin:0.1.0",
            identity=Path("/nowhere"),
            trust=Path("/nowhere"),
            handover=False,  # what is told here holds without; `restart(handover=True)`
        )
        self.restart()

    def restart(self, **changes):
        """Forget everything that is only in memory."""
        for name, value in changes.items():
            self.settings = Settings(
                **{f: getattr(self.settings, f) for f in Settings.__slots__ if f != name},
                **{name: value},
            )
        self.cache = Cache()
        self.events = Events(self.cluster)
        self.rollouts = self.make_rollouts()
        self.reconciler = Reconciler(
            *(self.cache, self.cluster, self.fleet, self.publisher, self.settings, self.events),
            rollouts=self.rollouts,
        )
        self.sync()

    def make_rollouts(self):
        """Who permits what profiles say: nobody, where a test is about one meter."""
        return

    def sync(self):
        """Let the watches catch up."""
        pods = set()
        for (kind, _, name), body in copy.deepcopy(self.cluster.objects).items():
            if kind == "smartmeters":
                self.cache.store_meter(body)
            elif kind == "twinprofiles":
                self.cache.profiles.store(body)
            elif kind == "utilities":
                self.cache.utilities.store(body)
            elif kind == "pods":
                pods.add(name)
                self.cache.store_pod(body)
        self.cache.drop_pods(NAMESPACE, pods, 1 << 60)

    async def reconnect(self):
        """A new broker session: what the broker has to hold is published again."""
        for meter in self.cache.meters.values():
            if meter.epoch:
                await self.publisher.publish(self.reconciler.messages_of(meter))

    async def settle(self, name="house-1", *, catching=(), rounds=12):
        """Reconcile until there is nothing more to do; the watches catch up in between."""
        for _ in range(rounds):
            before = self.cluster.writes
            try:
                again = await self.reconciler.reconcile(Key(NAMESPACE, name))
            except catching:
                again = True
            self.sync()
            if not again and self.cluster.writes == before:
                return
        raise AssertionError("does not settle")

    def put(self, kind, name, body):
        row = (kind, NAMESPACE, name)
        old = self.cluster.objects.get(row)
        metadata = copy.deepcopy(old["metadata"]) if old else {"name": name}
        self.cluster._version += 1  # before: a uid is made of it, and no two objects share one
        stored = self.cluster._store(row, {**copy.deepcopy(body), "metadata": metadata})
        self.sync()
        return stored

    def add_meter(self, name="house-1", **changes):
        spec = copy.deepcopy(SPEC) | changes
        return self.put("smartmeters", name, {"spec": spec})

    def change_meter(self, name="house-1", **changes):
        meter = self.cluster.objects["smartmeters", NAMESPACE, name]
        meter["spec"] |= changes
        meter["metadata"]["generation"] += 1
        self.cluster._version += 1
        self.cluster._store(("smartmeters", NAMESPACE, name), meter)
        self.sync()

    def meter(self, name="house-1"):
        return self.cluster.objects["smartmeters", NAMESPACE, name]

    def status(self, name="house-1"):
        return self.meter(name).get("status", {})

    def condition(self, kind="Ready", name="house-1"):
        rows = self.status(name).get("conditions", [])
        return next((row for row in rows if row["type"] == kind), None)

    def pods(self):
        return self.cluster.names("pods")

    def secrets(self):
        return self.cluster.names("secrets")

    def set_pod(self, name, *, phase="Running", ready=True):
        pod = self.cluster.objects["pods", NAMESPACE, name]
        pod["status"] = {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        }
        self.cluster._version += 1
        self.cluster._store(("pods", NAMESPACE, name), pod)
        self.sync()

    def delete_pod(self, name):
        del self.cluster.objects["pods", NAMESPACE, name]
        self.sync()
