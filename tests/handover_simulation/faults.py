"""What goes wrong in a simulated world: each fault a method, chosen and timed by the seed."""

from collections.abc import Callable

from .world import World

NAMES = (
    "operator_killed", "leader_paused", "twin_killed", "broker_killed", "broker_emptied",
    "meter_rebooted", "meter_offline", "api_away", "pod_deleted", "twin_cut_off", "spec_changed",
    "spec_changed_back", "node_lost", "status_restored",
)  # fmt: skip


class Faults:
    """The faults of one world."""

    def __init__(self, world: World, names: tuple[str, ...] = NAMES) -> None:
        self.world = world
        self.told: list[tuple[int, str]] = []
        self._names = names

    def plan(self, count: int, begin_s: int, end_s: int) -> None:
        """Let `count` faults happen in a stretch of time."""
        for _ in range(count):
            name = self.world.scheduler.random.choice(self._names)
            moment = self.world.scheduler.random.randint(begin_s * 1000, end_s * 1000)
            self.world.scheduler.after(moment, lambda name=name: self.do(name))

    def do(self, name: str) -> None:
        """Let one happen now."""
        self.told.append((self.world.scheduler.now_ms, name))
        action: Callable[[], None] = getattr(self, name)
        action()

    def _some(self, low_s: float, high_s: float) -> int:
        return self.world.scheduler.random.randint(int(low_s * 1000), int(high_s * 1000))

    def operator_killed(self) -> None:
        operator = self.world.scheduler.random.choice(self.world.operators)
        if operator.alive:
            operator.kill()
            self.world.scheduler.after(self._some(1, 30), operator._again)

    def leader_paused(self) -> None:
        """The process stands still; another takes the Lease; then it goes on."""
        for operator in self.world.operators:
            if operator.alive and operator.lease.holder == operator.name:
                operator.paused_until_ms = self.world.scheduler.now_ms + self._some(5, 60)

    def _any_twin(self):  # type: ignore[no-untyped-def]
        twins = [twin for twin in self.world.twins.values() if twin.alive]
        return self.world.scheduler.random.choice(twins) if twins else None

    def twin_killed(self) -> None:
        twin = self._any_twin()
        if twin is not None:
            twin.kill()

            def again() -> None:
                if twin in self.world.twins.values() and not twin.alive:
                    twin.start()

            self.world.scheduler.after(self._some(1, 20), again)

    def broker_killed(self) -> None:
        self.world.broker.kill(self._some(0.5, 20), persistent=True)

    def broker_emptied(self) -> None:
        self.world.broker.kill(self._some(0.5, 20), persistent=False)

    def meter_rebooted(self) -> None:
        self.world.meter.reboot()

    def meter_offline(self) -> None:
        self.world.meter.cut(self._some(5, 90))

    def api_away(self) -> None:
        self.world.cluster.away_until_ms = self.world.scheduler.now_ms + self._some(5, 40)

    def pod_deleted(self) -> None:
        """Somebody deletes a twin's pod; its emptyDir goes with it."""
        pods = [row for row in self.world.cluster.objects if row[0] == "pods"]
        if pods:
            self.world.lose_store(self.world.scheduler.random.choice(sorted(pods))[2])

    def node_lost(self) -> None:
        """A twin's node is cut off from the API server; the twin still reaches the broker."""
        pods = [row for row in self.world.cluster.objects if row[0] == "pods"]
        if pods:
            pod = self.world.scheduler.random.choice(sorted(pods))[2]
            self.world.lose_store(pod, after_s=self.world.scheduler.random.randint(5, 150))

    def status_restored(self) -> None:
        """Somebody restores an older copy of the status."""
        self.world.restore_status()

    def twin_cut_off(self) -> None:
        """A twin's node loses the way to the broker for a while."""
        twin = self._any_twin()
        if twin is not None:
            twin.cut()

            def back() -> None:
                twin.reaches_broker = True

            self.world.scheduler.after(self._some(2, 60), back)

    def spec_changed(self) -> None:
        self.world.upgrade()

    def spec_changed_back(self) -> None:
        self.world.roll_back()
