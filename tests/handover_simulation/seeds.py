"""Seeds: what happens in one, and many of them over several processes.

report = run_seed(7)                # raises Failed with the story
total = run_many(range(2000), jobs=2)
"""

import multiprocessing
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from .faults import CELLS, NAMES, Faults
from .oracle import Broken
from .play import played
from .verdict import find_late, verify_store
from .world import World

FAULTS_S = 150
CALM_S = 20
MOST_CALM_S = 2400
CHUNK = 10
STOPS_IN = 3


@dataclass
class Report:
    """What came of one seed, or of many."""

    seeds: int = 0
    digest: str = ""
    story: str = ""
    measured: int = 0
    late: int = 0
    simulated_s: int = 0
    slowest_s: int = 0
    excused: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, other: "Report") -> None:
        self.seeds += other.seeds
        self.measured += other.measured
        self.late += other.late
        self.simulated_s += other.simulated_s
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.excused += other.excused
        self.results += other.results
        self.hits += other.hits
        self.failed |= other.failed

    @property
    def excused_share(self) -> float:
        """How much of what was measured a fault has taken for good."""
        return sum(self.excused.values()) / max(1, self.measured)

    @property
    def missed(self) -> list[tuple[str, str]]:
        """Pairs of phase and fault that no seed has met."""
        return [cell for cell in CELLS if not self.hits[cell]]


class FailedError(AssertionError):
    """A seed found something; the text says what, and how to see it again."""


def run_seed(seed: int) -> Report:
    """Let a seed's faults happen, then calm.

    Raises:
        FailedError: with the story.
    """
    folder = Path(tempfile.mkdtemp(prefix="handover-", dir=_quick_folder()))
    try:
        return _run(seed, folder)
    finally:
        shutil.rmtree(folder)


def _quick_folder() -> str | None:
    """Return a folder in memory: an fsync costs nothing there."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _run(seed: int, folder: Path) -> Report:
    world: World | None = None
    try:
        world = World(seed, folder)
        with played(world.scheduler):
            faults = Faults(world)
            slowest_s = _play(world, faults, seed)
            late = len(find_late(world))
    except Exception as error:
        story = _print(world) if world is not None else ""
        again = f"python -m tests.handover_simulation --seed {seed}"
        kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
        text = f"seed {seed}: {kind}{error}\n{story}again: {again}"
        raise FailedError(text) from error
    rows = world.status.get("handovers") or []
    return Report(
        seeds=1, digest=world.scheduler.digest, story=_print(world), measured=len(world.meter.log),
        late=late,
        simulated_s=world.scheduler.now_ms // 1000, slowest_s=slowest_s, excused=world.ledger.counts,
        results=Counter(row["result"] for row in rows), hits=faults.hits,
    )  # fmt: skip


def _print(world: World) -> str:
    rows = [f"{at_ms / 1000:10.3f} s  {text}\n" for at_ms, text in world.scheduler.story]
    return "".join(rows)


def _play(world: World, faults: Faults, seed: int) -> int:
    """Twice a new version is wanted, faults happen; then everything has to come to rest.

    Returns:
        How long that took, in seconds.
    """
    chance = world.scheduler.random
    while world.problems() and world.scheduler.now_ms < 100_000:
        world.run(5)
    begun_s = world.scheduler.now_ms // 1000
    faults.steer(*CELLS[seed % len(CELLS)])
    for _ in range(chance.randint(0, 2)):
        faults.steer(*chance.choice(CELLS))
    faults.plan(NAMES, chance.randint(0, 7), 0, FAULTS_S)
    for begin_s in (0, chance.randint(20, 110)):
        world.scheduler.after(begin_s * 1000 + chance.randint(0, 15_000), lambda: world.want(1))
    _plan_stops(world, Random(seed))
    world.run(FAULTS_S + 20)
    faults.disarm()
    calm_ms = world.scheduler.now_ms
    world.run(CALM_S)
    while world.problems() and world.scheduler.now_ms < (begun_s + MOST_CALM_S) * 1000:
        world.run(CALM_S / 2)
    rest_s = (world.scheduler.now_ms - calm_ms) // 1000
    world.meter.measures = False
    world.run(15)
    for _ in range(4):  # a retry may just be under way
        if world.problems():
            world.run(15)
    problem = world.problems()
    if problem:
        raise Broken(problem)
    verify_store(world)
    return rest_s


def _plan_stops(world: World, chance: Random) -> None:
    """Let a user stop load control, and permit it again, in some seeds.

    Its chance is its own, so that all other seeds stay what they are.
    """
    if chance.randrange(STOPS_IN):
        return
    for number in range(chance.randint(1, 4)):
        moment = chance.randint(0, FAULTS_S * 1000)
        world.scheduler.after(moment, partial(world.stop_loads, stopped=number % 2 == 0))


def run_quietly(seeds: list[int]) -> Report:
    """Run seeds; what fails is in the report."""
    total = Report()
    for seed in seeds:
        try:
            total.add(run_seed(seed))
        except FailedError as error:
            total.add(Report(seeds=1, failed={seed: str(error)}))
    return total


def run_many(seeds: Iterable[int], jobs: int) -> Iterator[Report]:
    """Run seeds in processes; yields the reports of some at a time."""
    wanted = list(seeds)
    chunks = [wanted[at : at + CHUNK] for at in range(0, len(wanted), CHUNK)]
    if jobs == 1:
        yield from map(run_quietly, chunks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        yield from pool.map(run_quietly, chunks)
