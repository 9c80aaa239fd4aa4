"""The simulation has teeth: each known way to break the handover is found within some seeds."""

import pytest

from .mutations import MUTATIONS, RARE_MUTATIONS
from .oracle import Broken
from .seeds import FailedError, run_seed

SEEDS, MANY_SEEDS = 300, 3000
FOUND_BY = (Broken, AssertionError)
"""What an oracle raises; the real code may say itself that what must not be has come to pass."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_protocol_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTATIONS[name](monkeypatch.setattr)
    look_for(name, SEEDS)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", RARE_MUTATIONS)
def test_what_several_locks_hold_is_found_in_the_long_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    RARE_MUTATIONS[name](monkeypatch.setattr)
    look_for(name, MANY_SEEDS)


def look_for(name: str, seeds: int) -> None:
    found = next((one for one in map(fails, range(seeds)) if one is not None), None)
    if found is None:
        raise AssertionError(f"{seeds} seeds did not find {name}")
    text = str(found).split("\n")[0]
    print(f"{name}: {text}")
    assert isinstance(found.__cause__, FOUND_BY), f"the mutation is wrong: {text}"


def fails(seed: int) -> FailedError | None:
    """Return what a seed has found, None for nothing."""
    try:
        run_seed(seed)
    except FailedError as error:
        return error
    return None
