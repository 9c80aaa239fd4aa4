"""Hypothesis for all suites: no deadlines (a busy machine is no bug), the same examples in CI.

`make nightly` sets HYPOTHESIS_PROFILE=explore, which looks for new examples.
"""

import os

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow]
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=_SLOW)
settings.register_profile("explore", deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
