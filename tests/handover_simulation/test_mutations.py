"""The simulation has teeth: each known way to break the handover is found within some seeds."""

import pytest

from .mutations import MUTATIONS
from .test_simulation import simulate

SEEDS = 150
FIRST = (0, 8, 11, 7, 2, 1, 48, 65)
"""Seeds that have found one before: tried first, which saves minutes."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_protocol_is_found(name, tmp_path, monkeypatch):
    MUTATIONS[name](monkeypatch.setattr)
    for seed in dict.fromkeys([*FIRST, *range(SEEDS)]):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            simulate(seed, folder)
        except Exception:  # noqa: BLE001 - a broken protocol may break anything
            return
    raise AssertionError(f"{SEEDS} seeds did not find {name}")
