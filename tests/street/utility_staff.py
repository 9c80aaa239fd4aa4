"""The utility of the demo as its staff sees it: its own program, run in its pod."""

import json
import time
from datetime import datetime

from demo import kubectl


def utility(*command):
    """Run a command of the utility's own program."""
    done = kubectl("exec", "deploy/city-grid", "--", "python3", "-m", "city_grid", *command)
    return done.stdout


def clear_the_programme():
    """Cancel what the utility has planned for this hour: at half past seven in the morning it is."""
    for one in json.loads(utility("state"))["events"]:
        start_s = datetime.fromisoformat(one["start"]).timestamp()
        is_ahead = one["status"] in ("far", "active") and start_s < time.time() + 3600
        if one["signal"] == "SIMPLE" and is_ahead:
            utility("cancel", one["id"])
