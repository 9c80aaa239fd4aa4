"""Seeds of the simulated world."""

import pytest

from .faults import Faults
from .world import Broken, World


def test_an_upgrade_without_faults_is_a_handover(tmp_path):
    world = World(1, tmp_path)
    world.run(60)
    assert world.status["epoch"] == 1
    world.upgrade()
    world.run(120)
    world.check()
    assert world.status["epoch"] == 2
    assert [row["result"] for row in world.status["handovers"]] == ["Done"]


def simulate(seed, folder):
    """Let a seed's faults happen, then calm; raise what is broken, with the story."""
    world = World(seed, folder)
    faults = Faults(world)
    world.run(60)
    faults.plan(world.scheduler.random.randint(1, 8), 0, 240)
    for _ in range(2):
        world.scheduler.after(world.scheduler.random.randint(0, 200_000), world.upgrade)
    try:
        world.run(300)
        world.run(500)
        world.check()
    except Broken as error:
        raise Broken(f"seed {seed}: {error}; faults {faults.told}") from error


@pytest.mark.parametrize("seed", range(60))
def test_a_seed(seed, tmp_path):
    simulate(seed, tmp_path)
