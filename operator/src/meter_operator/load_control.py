"""The stop switch of load control: what a profile says of it, and how far that has come. Pure.

Neighbours: `announcements` (who tells the twins), `rollout_status` and `rollout_news` (who tell
people), the twin's `load_control` (who obeys).
"""

from collections.abc import Iterable

from meter_operator.cache import Cache
from meter_operator.desired import Json, Meter

STOPPED, ALLOWED = "Stopped", "Allowed"


def is_stopped(profile: Json) -> bool:
    """Whether a profile's spec stops load control."""
    return bool(profile.get("loadControl") == STOPPED)


def count_stopped(cache: Cache, meters: Iterable[Meter]) -> int:
    """Return how many of these meters have an active twin that says it moves no load."""
    found = ((cache.states.get(meter.device) or {}).get(meter.epoch) for meter in meters)
    return sum(state is not None and state.online and state.stopped for state in found)


def build_status(profile: Json, stopped: int, total: int) -> Json | None:
    """Return how far a stop, or its end, has come; None where there is none.

    Args:
        profile: its spec.
        stopped: how many twins say that they move no load.
        total: how many meters have the profile.
    """
    if not stopped and not is_stopped(profile):
        return None
    wanted = STOPPED if is_stopped(profile) else ALLOWED
    return {"wanted": wanted, "stopped": stopped, "of": total}


def was_stopped(status: Json) -> bool:
    """Whether the status of a profile says that load control is to be stopped."""
    return bool((status.get("loadControl") or {}).get("wanted") == STOPPED)
