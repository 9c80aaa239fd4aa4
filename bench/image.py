"""The twin's image: its uncompressed size, as the image build counted it."""

import json

from cluster import ROOT
from figure import Figure, figure

GOAL_BYTES = 35_000_000


def measure() -> list[Figure]:
    """Return the size of the twin's image."""
    described = json.loads((ROOT / "build/images/twin.json").read_text())
    method = "bytes of all layers' uncompressed tar files (build/images/twin.json)"
    goal = ("<=", GOAL_BYTES / 1e6)
    return [figure("twin image, uncompressed", described["bytes"] / 1e6, "MB", method, goal)]
