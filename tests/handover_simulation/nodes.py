"""The nodes of a simulated world: they start, judge and end pods, and may be cut off.

A twin on a node that the API server has lost goes on: it reaches the broker, the meter reaches it,
and nobody can tell it anything but by the broker. Other twins do not reach it.
"""

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from meter_operator.desired import Json

from .api_server import NAMESPACE, SlowCluster
from .broker import Broker
from .exchange import Answer, Answered
from .ledger import Entry, Ledger
from .oracle import Oracle
from .scheduler import Scheduler
from .tally import read_noted
from .twin import Twin

PORT = 8443
DELAYS_MS = (1, 5, 40)
TIMEOUT_MS = 10_000


class Nodes:
    """All kubelets, and the network between pods."""

    def __init__(
        self, scheduler: Scheduler, cluster: SlowCluster, broker: Broker, folder: Path,
        oracle: Oracle, ledger: Ledger, looked: Callable[[], None],
    ) -> None:  # fmt: skip
        self._scheduler, self._cluster, self._broker = scheduler, cluster, broker
        self._folder, self._oracle, self._ledger, self._looked = folder, oracle, ledger, looked
        self.twins: dict[str, Twin] = {}  # by uid of the pod
        self.leaving: list[Twin] = []
        """Twins whose pods are gone from the API and whose processes are not."""
        self.handed: set[Entry] = set()
        """What the application of any twin was handed."""
        self.slow_until_ms = 0
        self.peers_cut_until_ms = 0
        self.ring: Callable[[], Iterable[Entry]] = lambda: ()
        self.find_active: Callable[[], Twin | None] = lambda: None
        self._addresses: dict[str, Twin] = {}
        self._faulted: dict[Twin, int] = {}
        self._removed: set[Twin] = set()
        cluster.removing = self._remove
        cluster.watchers.append(self._watch)
        self._poll()

    @property
    def all(self) -> list[Twin]:
        """All twins whose stores exist."""
        return [*self.twins.values(), *self.leaving]

    @property
    def lasting(self) -> list[Twin]:
        """Those whose stores the operator has not removed: what it removes holds nothing more."""
        there = (one for one in self.twins.values() if one not in self._removed)
        return [*there, *(one for one in self.leaving if one in self._faulted)]

    def _remove(self, name: str, asked: bool) -> None:
        """Note that the operator asks for a pod's removal, or that the server did not hear it."""
        pod = self._cluster.objects.get(("pods", NAMESPACE, name))
        twin = self.twins.get(pod["metadata"]["uid"]) if pod is not None else None
        if twin is not None:
            (self._removed.add if asked else self._removed.discard)(twin)
            active = self.find_active()
            if asked and active is not None:  # it takes nothing again whose time is over
                self._ledger.deleted(sorted(active.find_expired(twin.held)))

    def find_pod(self, uid: str) -> Json | None:
        """Return the pod of a uid as the API server has it."""
        for (kind, _, _), body in self._cluster.objects.items():
            if kind == "pods" and body["metadata"]["uid"] == uid:
                return body
        return None

    # ---- pods

    def _watch(self, kind: str, body: Json, gone: bool) -> None:
        if kind != "pods":
            return
        uid = body["metadata"]["uid"]
        if gone:
            twin = self.twins.pop(uid, None)
            if twin is not None:
                self._end(twin)
        elif uid not in self.twins and self.find_pod(uid) is not None:
            self._start(uid, body)

    def _start(self, uid: str, body: Json) -> None:
        secret = self._cluster.objects.get(("secrets", NAMESPACE, body["metadata"]["name"]))
        if secret is None:
            self._scheduler.after(1000, lambda: self._watch("pods", body, gone=False))
            return
        keys = json.loads(base64.b64decode(secret["data"]["keys.json"]))
        twin = Twin(
            *(self._scheduler, self._broker, keys, self._folder),
            *(self._call, self._look, self.handed),
        )
        self._oracle.started(twin)
        self.twins[uid] = twin
        ip = f"10.0.0.{len(self._addresses) + 1}"
        self._addresses[f"{ip}:{PORT}"] = twin
        slow_ms = max(0, self.slow_until_ms - self._scheduler.now_ms)

        def begin() -> None:
            pod = self.find_pod(uid)
            if pod is None or self.twins.get(uid) is not twin:
                return
            self._scheduler.tell(f"twin {twin.epoch} starts")
            twin.start()

            def change() -> None:
                pod["status"] = {"phase": "Running", "podIP": ip, "conditions": []}
                self._cluster.touch(pod)

            self._cluster.change(change)

        self._scheduler.after(slow_ms + self._scheduler.random.randint(300, 6000), begin)

    def _look(self, twin: Twin) -> None:
        del twin
        self._oracle.look(self.all)
        self._looked()

    def _poll(self) -> None:
        """Readiness, as kubelets ask for it."""
        for uid, twin in self.twins.items():
            pod = self.find_pod(uid)
            if pod is None or "status" not in pod or twin in self._faulted:
                continue
            truth = "True" if twin.ready else "False"
            shown = [{"type": "Ready", "status": truth}]
            if pod["status"].get("conditions") != shown:

                def change(pod: Json = pod, shown: list[Json] = shown) -> None:
                    pod["status"]["conditions"] = shown
                    self._cluster.touch(pod)

                self._cluster.change(change)
        self._scheduler.after(1000, self._poll)

    def _end(self, twin: Twin) -> None:
        """The pod is gone from the API; the process a little later."""
        self.leaving.append(twin)
        until_ms = self._faulted.get(twin, 0)
        wait_ms = max(0, until_ms - self._scheduler.now_ms) + self._scheduler.random.randint(
            10, 4000
        )
        self._scheduler.after(wait_ms, lambda: self._destroy(twin))

    def _destroy(self, twin: Twin) -> None:
        self._scheduler.tell(f"twin {twin.epoch} and its store are gone")
        self.leaving.remove(twin)
        held = twin.held
        twin.destroy()
        if twin in self._faulted:
            self._ledger.store_lost(held, self.ring())
            self._forget_handed()

    def _forget_handed(self) -> None:
        """What only a store knew that a fault has taken, no other application can know of."""
        known: set[Entry] = set()
        for twin in self.all:
            if twin.path.exists():
                with closing(sqlite3.connect(twin.path)) as connection:
                    known |= read_noted(connection)
        self.handed &= known

    # ---- faults

    def lose_pod(self, name: str, *, after_s: int = 0, announced: bool = False) -> None:
        """A fault takes a pod and its emptyDir.

        With `after_s` its node is cut off from the API server for so long, and gone then: the twin
        goes on until then, with nobody to tell it anything but the broker. `announced`: its pod is
        shown as being deleted for that time, as Kubernetes does; else it is removed at once.
        """
        row = ("pods", NAMESPACE, name)
        pod = self._cluster.objects[row]
        twin = self.twins.get(pod["metadata"]["uid"])
        if twin is not None:
            self._faulted[twin] = self._scheduler.now_ms + after_s * 1000

        def remove() -> None:
            if (
                self._cluster.objects.get(row, {}).get("metadata", {}).get("uid")
                == (pod["metadata"]["uid"])
            ):
                self._cluster.change(lambda: self._cluster.objects.pop(row))

        if not announced:
            remove()
            return

        def mark() -> None:
            pod["metadata"]["deletionTimestamp"] = "2026-03-01T00:00:00Z"
            pod.setdefault("status", {})["conditions"] = [{"type": "Ready", "status": "False"}]
            self._cluster.touch(pod)

        self._cluster.change(mark)
        self._scheduler.after(after_s * 1000, remove)

    # ---- between pods

    def _call(self, taker: Twin, address: str, path: str, answered: Answered) -> None:
        chance = self._scheduler.random
        lost = self._scheduler.chance(3) or self._scheduler.now_ms < self.peers_cut_until_ms
        open_ = [True]

        def reply(answer: Answer | None) -> None:
            if open_:
                open_.clear()
                answered(answer)

        def arrive() -> None:
            twin = self._addresses.get(address)
            if twin is None or lost or twin in self._faulted or not twin.alive:
                self._scheduler.after(chance.choice(DELAYS_MS), lambda: reply(None))
            else:
                self._scheduler.act(twin, twin.life, lambda: give(twin))

        def give(twin: Twin) -> None:
            answer = twin.answer(taker.epoch, path)
            self._oracle.said(f"an answer of epoch {twin.epoch}", answer[1])
            self._scheduler.after(chance.choice(DELAYS_MS), lambda: reply(answer))

        self._scheduler.after(chance.choice(DELAYS_MS), arrive)
        self._scheduler.after(TIMEOUT_MS, lambda: reply(None))
