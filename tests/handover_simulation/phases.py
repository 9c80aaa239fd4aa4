"""Where a handover is, as those who make faults see it: from status and the twins' words.

The operator knows three phases; what may go wrong differs in more places.
"""

from collections.abc import Callable

from meter_operator.desired import Json
from meter_wire.word import Word

SERVING = "serving"
STARTING = "the candidate is not online"
TAKING = "it takes"
COVERED = "it has taken all"
ANNOUNCED = "the meter has spoken to it"
FROZEN = "frozen"
PROVED = "frozen, and all is proved"
SOAKING = "committed, soaking"
FINAL = "committed, all taken"
PHASES = (STARTING, COVERED, ANNOUNCED, FROZEN, PROVED, SOAKING, FINAL)
"""Those in which every fault has to happen in the seeds of each change."""


def find_phase(status: Json, word_of: Callable[[int], Word | None]) -> str:
    """Return the phase; `word_of`: what the twin of an epoch says, None if it is not online."""
    handover = status.get("handover")
    if not handover:
        return SERVING
    source, new = handover["source"], word_of(handover["epoch"])
    cover = new.covers.get(source) if new is not None else None
    match handover["phase"]:
        case "Preparing":
            if new is None:
                return STARTING
            if cover is None:
                return TAKING
            return ANNOUNCED if new.joined else COVERED
        case "Frozen":
            proved = cover is not None and cover.frozen == handover["epochId"]
            return PROVED if proved else FROZEN
        case _:
            return FINAL if cover is not None and cover.final else SOAKING
