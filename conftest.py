"""For all suites: Hypothesis, and the order of the tests when several workers share them.

Hypothesis has no deadlines (a busy machine is no bug) and takes the same examples in CI;
`make nightly` sets HYPOTHESIS_PROFILE=explore, which looks for new examples.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow]
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=_SLOW)
settings.register_profile("explore", deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def _longest_s(item: pytest.Item) -> float:
    """Return the seconds of the test's own timeout, 0 when it has none."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker is not None and marker.args else 0.0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with the tests that may take longest, so that none is left alone with one."""
    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        items.sort(key=_longest_s, reverse=True)
