"""The handover as one table: its flows, and which decision leads from which phase to which. Pure.

The flows are those of the paper (Liu et al. 2021, twelve flows), with the commit between the ninth
and the tenth. `succession` writes no decision that `TRANSITIONS` does not have; the diagrams of
docs/explanation/handover.md and the rows of tests/handover_matrix are those of `FLOWS`. Neighbour:
`handover` (when a decision is due).
"""

from typing import NamedTuple

from meter_operator.handover import (
    ABORT,
    COMMIT,
    COMMITTED,
    FINISH,
    FREEZE,
    FROZEN,
    PREPARING,
    TAKE_OVER,
)

OPERATOR, OLD, NEW, METER, USER = "O", "A", "B", "M", "U"
PARTIES = {
    USER: "user",
    OPERATOR: "operator",
    OLD: "twin A, serves",
    NEW: "twin B, candidate",
    METER: "meter",
}
BEGIN, END = "", "Ended"


class Flow(NamedTuple):
    """What one party tells another.

    `phase`: that of `status.handover` meanwhile; `lost`: what follows when it is lost, or its
    sender ends.
    """

    number: str
    sender: str
    receiver: str
    text: str
    phase: str
    lost: str


FLOWS = (
    Flow("1", METER, OLD, "readings; A acknowledges and releases", BEGIN, "sent again"),
    Flow("2", OPERATOR, NEW, "ctl candidate, donor A; pod and Secret", PREPARING,
         "B is given up, its epoch burned, and another one is tried"),
    Flow("3", OPERATOR, OLD, "ctl active, taker B", PREPARING, "told again with each session"),
    Flow("4", NEW, OLD, "coverage? entries of the blocks that differ", PREPARING,
         "asked again; what is committed stays"),
    Flow("5", NEW, OLD, "the same each second, until the end", PREPARING, "as 4"),
    Flow("6", OPERATOR, METER, "owner record: active A, candidate B", PREPARING,
         "published again at each hello and session"),
    Flow("7", METER, NEW, "hello", PREPARING, "the meter reads the record again"),
    Flow("8", METER, NEW, "readings to both; only A's acknowledgement releases", PREPARING,
         "B has them from A"),
    Flow("9", OLD, NEW, "frozen for this attempt, root R; B says that it holds R", FROZEN,
         "said again; after the deadline A goes on"),
    Flow("commit", OPERATOR, OPERATOR, "status.epoch = B, one compare-and-swap", COMMITTED,
         "decided again from what both say"),
    Flow("10", OPERATOR, METER, "owner record: active B; ctl active, ctl retired", COMMITTED,
         "published again; the decision stands"),
    Flow("11", NEW, OLD, "coverage? it is final now; the last entries", COMMITTED,
         "asked again; after a deadline `Lost` is noted"),
    Flow("12", OPERATOR, OLD, "after the soak: pod, Secret and volume go", END, "tried again"),
)  # fmt: skip


class Transition(NamedTuple):
    """A decision: from a phase, by a verb of `handover`, to a phase."""

    before: str
    verb: str
    after: str
    when: str


TRANSITIONS = (
    Transition(BEGIN, "Begin", PREPARING, "another twin is wanted, and the one there serves"),
    Transition(PREPARING, FREEZE, FROZEN, "B covers A, both are connected, the meter spoke to B"),
    Transition(PREPARING, ABORT, END,
               "superseded, left alone, B lost or refuses, deadline"),
    Transition(FROZEN, COMMIT, COMMITTED,
               "A frozen with root R, B holds R; or A is gone, B has begun"),
    Transition(FROZEN, ABORT, END,
               "superseded, B lost or refuses, deadline; left alone, and A is gone"),
    Transition(PREPARING, COMMIT, COMMITTED, "A is gone, B has begun"),
    Transition(PREPARING, TAKE_OVER, END,
               "A is gone, B has not begun; or the cluster was put back"),
    Transition(FROZEN, TAKE_OVER, END,
               "A is gone, B has not begun; or the cluster was put back"),
    Transition(COMMITTED, TAKE_OVER, END,
               "B is gone; or it does not serve, and is not wanted; or the cluster was put back"),
    Transition(COMMITTED, "Begin", PREPARING,
               "yet another twin is wanted, and B serves: B is the next A, A a donor"),
    Transition(COMMITTED, FINISH, END, "B has served for the soak, and has all of A; or A is gone"),
)  # fmt: skip


class Told(NamedTuple):
    """What each party has been told: in `ctl` of A and of B, and the owner record of the meter."""

    old: str
    new: str
    meter: str


TOLD = {
    BEGIN: Told("active", "", "A"),
    PREPARING: Told("active", "candidate", "A_and_candidate_B"),
    FROZEN: Told("frozen", "candidate", "A_and_candidate_B"),
    COMMITTED: Told("retired", "active", "B"),
}
TOLD_AT_END = {
    ABORT: Told("active", "retired", "A"),
    TAKE_OVER: Told("retired", "retired", "C"),
    FINISH: Told("retired", "active", "B"),
}
"""After the last decision; after a takeover another twin, C, is the meter's."""
TOLD_OF_NEXT = Told("retired", "active", "B_and_candidate_C")
"""When the next handover begins while this one soaks: B is its A, and C its B."""


def find_told(row: Transition) -> tuple[Told, Told]:
    """Return what the parties have been told before a decision, and what they are told by it."""
    if row.after == END:
        return TOLD[row.before], TOLD_AT_END[row.verb]
    is_next = (row.before, row.after) == (COMMITTED, PREPARING)
    return TOLD[row.before], TOLD_OF_NEXT if is_next else TOLD[row.after]


def may_follow(phase: str, verb: str) -> bool:
    """Return whether a decision is one of the table."""
    return any((row.before, row.verb) == (phase, verb) for row in TRANSITIONS)
