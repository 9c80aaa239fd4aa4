"""The flows of a handover as they are seen from outside, each with the moment that ends it.

A *mark* is something seen with its time: a phase of status (`Preparing`, `Frozen`, `Committed`,
`Ended`), or a line in the log of the old or the new twin. A fault has hit its flow if it fell after
all marks by which the flow begins and before any by which it ends. Neighbour: `watcher`.
"""

from typing import NamedTuple


class Flow(NamedTuple):
    """A row of the matrix."""

    what: str
    begins: tuple[str, ...]
    ends: tuple[str, ...]
    held_from: str = ""
    """The mark from which a further try pauses who ends the flow, because it ends at once else."""
    held: str = ""
    """Who that is: `OLD_TWIN`, `NEW_TWIN` or `OPERATOR`."""


OLD_TWIN, NEW_TWIN, OPERATOR = "old twin", "new twin", "operator"
_FROZEN = ("Frozen", "old:control:frozen")
FLOWS = {
    "1": Flow("the meter speaks to its twin, the change is about to come", (), ("Preparing",)),
    "2": Flow("the epoch is decided, its pod is made", ("Preparing",), ("new:serves",)),
    "3": Flow("the old twin has been told who may take",
              ("Preparing", "old:control:active"), ("new:serves",)),
    "4": Flow("the new twin takes the snapshot",
              ("new:control:candidate",), ("new:covered:active", *_FROZEN),
              "old:control:active", OLD_TWIN),
    "5": Flow("the tail", ("new:covered:active",), _FROZEN),
    "6": Flow("the owner record names the candidate",
              ("new:session",), ("new:hello", *_FROZEN)),
    "7": Flow("the meter has said hello to the new twin", ("new:hello",), _FROZEN,
              "new:session", OPERATOR),
    "8": Flow("the meter speaks to both, and all is taken",
              ("new:hello", "new:covered:active"), _FROZEN,
              "new:session", OPERATOR),
    "9": Flow("frozen", _FROZEN[:1], ("Committed", "new:control:active"),
              "Frozen", NEW_TWIN),
    "commit": Flow("committed", ("Committed",), ("new:control:active",),
                   "new:covered:frozen", NEW_TWIN),
    "10": Flow("the new twin acts, the old one is retired",
               ("new:control:active",), ("new:covered:retired", "Ended"),
               "new:covered:frozen", OLD_TWIN),
    "11": Flow("the last entries of the old twin are taken", ("new:covered:retired",), ("Ended",)),
    "12": Flow("done: the old twin goes", ("Ended",), ("old:gone",)),
}  # fmt: skip
