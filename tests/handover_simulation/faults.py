"""What goes wrong in a simulated world: each fault a method, chosen and timed by the seed.

A method returns False if there was nothing to break. Some are *steered*: they wait for a phase of
a handover and happen in it, so that every pair of phase and fault is reached in some thousand
seeds. `hits` counts the phases that faults have really met.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from .broker import Session
from .operator_process import OperatorProcess
from .phases import PHASES
from .scheduler import Actor
from .twin import Twin
from .world import World

STEERED_DELAYS_MS = (0, 0, 0, 1, 3, 20, 60, 200)


class Faults:
    """The faults of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.scheduler = world.scheduler
        self.hits: Counter[tuple[str, str]] = Counter()
        self._armed: dict[str, list[str]] = {}
        world.phase_changed = self._entered

    def plan(self, names: tuple[str, ...], count: int, begin_s: int, end_s: int) -> None:
        """Let `count` faults happen in a stretch of time."""
        for _ in range(count):
            name = self.scheduler.random.choice(names)
            moment = self.scheduler.random.randint(begin_s * 1000, end_s * 1000)
            self.scheduler.after(moment, partial(self.do, name))

    def steer(self, phase: str, name: str) -> None:
        """Let one happen when a handover reaches a phase."""
        self._armed.setdefault(phase, []).append(name)

    def disarm(self) -> None:
        self._armed.clear()

    def _entered(self, phase: str) -> None:
        for name in self._armed.pop(phase, ()):
            wait_ms = self.scheduler.random.choice(STEERED_DELAYS_MS)
            self.scheduler.after(wait_ms, partial(self.do, name))

    def do(self, name: str) -> None:
        """Let one happen now."""
        phase = self.world.phase
        action: Callable[[], Any] = getattr(self, name)
        if action() is not False:
            self.hits[phase, name] += 1
            self.scheduler.tell(f"FAULT {name} ({phase})")

    def _some(self, low_s: float, high_s: float) -> int:
        return self.scheduler.random.randint(int(low_s * 1000), int(high_s * 1000))

    # ---- the operator

    def _leader(self) -> OperatorProcess | None:
        return next((one for one in self.world.operators if one.alive and one.leads), None)

    def operator_killed(self) -> bool:
        """The one that leads, mostly; its Lease runs on."""
        alive = [one for one in self.world.operators if one.alive]
        leader = self._leader()
        if not alive:
            return False
        chosen = leader if leader and self.scheduler.chance(80) else self._one_of(alive)
        chosen.exit(self._some(1, 30))
        return True

    def operator_upgraded(self) -> bool:
        """It ends as asked for and gives its Lease up; another version starts."""
        leader = self._leader()
        if leader is not None:
            leader.stop()
        return leader is not None

    def leader_paused(self) -> bool:
        """The process stands still wherever it is; another may take the Lease; it goes on."""
        leader = self._leader()
        if leader is not None:
            self._pause(leader, self._some(5, 60))
        return leader is not None

    def leader_paused_deciding(self) -> bool:
        """It stands still between what it has read and the next decision that it writes."""
        leader = self._leader()
        if leader is not None:
            leader.pause_at_decision_ms = self._some(16, 60)
        return leader is not None

    def _pause(self, actor: Actor, for_ms: int) -> None:
        actor.paused_until_ms = max(actor.paused_until_ms, self.scheduler.now_ms + for_ms)

    def operator_clock_wrong(self) -> None:
        """The wall clock of one replica's node: seconds, minutes or days."""
        chosen = self._one_of(self.world.operators)
        wrong_s = self._one_of((-172_800, -3600, -90, -20, 0, 20, 90, 3600, 172_800))
        chosen.wall_offset_ms = wrong_s * 1000

    # ---- twins

    def _one_of(self, choices: Any) -> Any:
        return self.scheduler.random.choice(choices)

    def _any_twin(self) -> Twin | None:
        twins = [twin for twin in self.world.nodes.twins.values() if twin.alive]
        return self._one_of(twins) if twins else None

    def twin_killed(self) -> bool:
        twin = self._any_twin()
        if twin is None:
            return False
        twin.kill()

        def again() -> None:
            if twin in self.world.nodes.all and not twin.alive:
                twin.start()

        self.scheduler.after(self._some(1, 20), again)
        return True

    def twin_paused(self) -> bool:
        """Its process stands still; beyond the keep-alive the broker lets go of it."""
        twin = self._any_twin()
        if twin is None:
            return False
        for_ms = self._some(2, 90)
        self._pause(twin, for_ms)
        if twin.session is not None:
            self.scheduler.after(45_000, partial(self._let_go, twin, twin.session))
        return True

    def _let_go(self, twin: Twin, session: Session) -> None:
        if twin.paused_until_ms > self.scheduler.now_ms:
            session.end()

    def twin_cut_off(self) -> bool:
        """A twin's node loses the way to the broker for a while."""
        twin = self._any_twin()
        if twin is None:
            return False
        twin.cut()

        def back() -> None:
            twin.reaches_broker = True

        self.scheduler.after(self._some(2, 60), back)
        return True

    def readings_expired(self) -> bool:
        """A twin deletes a prefix of what it has acknowledged: its time is over."""
        twin = self._any_twin()
        if twin is None:
            return False
        removed = twin.expire(self.scheduler.random.random() / 2)
        self.world.ledger.deleted(sorted(removed))
        return bool(removed)

    def peers_cut_off(self) -> None:
        """Twins do not reach each other."""
        self.world.nodes.peers_cut_until_ms = self.scheduler.now_ms + self._some(5, 60)

    def pods_start_slowly(self) -> None:
        """An image that is pulled for minutes, or crashes for so long."""
        self.world.nodes.slow_until_ms = self.scheduler.now_ms + self._some(30, 200)

    def _any_pod(self) -> str | None:
        pods = sorted(row for row in self.world.cluster.objects if row[0] == "pods")
        return self._one_of(pods)[2] if pods else None

    def pod_deleted(self) -> bool:
        """Somebody deletes a twin's pod; its emptyDir goes with it."""
        pod = self._any_pod()
        if pod is not None:
            self.world.nodes.lose_pod(pod)
        return pod is not None

    def node_lost(self) -> bool:
        """A twin's node is cut off from the API server; the twin still reaches the broker."""
        pod = self._any_pod()
        if pod is not None:
            after_s = self.scheduler.random.randint(5, 150)
            self.world.nodes.lose_pod(pod, after_s=after_s, announced=self.scheduler.chance(50))
        return pod is not None

    # ---- the broker and the network

    def broker_killed(self) -> None:
        self.world.broker.kill(self._some(0.5, 20))

    def broker_emptied(self) -> None:
        """It comes back without its volume."""
        self.world.broker.kill(self._some(0.5, 20), retained={})

    def broker_restored(self) -> None:
        """It comes back with what it had saved some time ago."""
        snapshot = self.world.broker.find_snapshot()
        self.world.broker.kill(self._some(0.5, 5), retained=snapshot)

    def owner_record_lost(self) -> bool:
        """Somebody removes the retained record."""
        topic = f"mt/{self.world.meter.device}/owner"
        if topic not in self.world.broker.retained:
            return False
        self.world.broker.route(topic, b"", retain=True)
        return True

    def network_stands_still(self) -> bool:
        """What is on the way of one client is late, in its order; it may notice nothing."""
        sessions = [one for _, one in sorted(self.world.broker.sessions.items())]
        if sessions:
            self._one_of(sessions).stand_still(self._some(1, 60))
        return bool(sessions)

    # ---- the meter

    def meter_rebooted(self) -> None:
        self.world.meter.reboot()

    def meter_offline(self) -> None:
        self.world.meter.cut(self._some(5, 90))

    def meter_clock_wrong(self) -> None:
        self.world.meter.clock_wrong_s = self._one_of((-86_400, -70, 70, 86_400))

    def meter_flash_lost(self) -> None:
        """It begins as a new meter: another incarnation, no record."""
        self.world.ledger.flash_lost(self.world.ring())
        self.world.meter.lose_flash()

    # ---- the API server and its users

    def api_away(self) -> None:
        self.world.cluster.away_until_ms = self.scheduler.now_ms + self._some(5, 40)

    def spec_changed(self) -> None:
        self.world.want(1)

    def spec_changed_back(self) -> bool:
        if self.world.resource["spec"]["twin"]["version"] == "1":
            return False
        self.world.want(-1)
        return True

    def meter_paused(self) -> None:
        """A user pauses the meter for a while: nothing begins, no pod is made."""
        self.world.pause(paused=True)
        self.scheduler.after(self._some(5, 120), partial(self.world.pause, paused=False))

    def status_restored(self) -> None:
        """Somebody puts an older copy of the status back."""
        self._restore(with_lease=False)

    def cluster_restored(self) -> None:
        """The same for the Lease, and the broker comes back from an old copy too."""
        self._restore(with_lease=True)
        self.broker_restored()

    def _restore(self, *, with_lease: bool) -> None:
        world, backup = self.world, self._one_of(self.world.backups)

        def change() -> None:
            world.resource["status"] = dict(backup["status"])
            world.cluster.touch(world.resource)
            lease = world.cluster.objects.get(("leases", "street", "metertwin-operator"))
            if with_lease and backup["lease"] is not None and lease is not None:
                lease["spec"] = dict(backup["lease"]["spec"])
                world.cluster.touch(lease)

        world.oracle.restored = True
        world.cluster.change(change)


NAMES = tuple(
    name for name, value in vars(Faults).items()
    if callable(value) and not name.startswith("_") and name not in {"plan", "steer", "disarm", "do"}
)  # fmt: skip
CELLS = [(phase, name) for phase in PHASES for name in NAMES]
