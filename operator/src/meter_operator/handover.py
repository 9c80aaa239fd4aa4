"""The handover of a meter from one twin to the next, as the operator decides it. Pure.

A handover is in `status.handover` from its first decision to its last: *Preparing* (the candidate
starts and takes what the active twin has), *Frozen* (the active one acts on nobody any more and
says what it holds), *Committed* (the candidate is the active twin, the other one answers for what
it still has). Each decision is one compare-and-swap of the status. Before the commit everything
can be withdrawn, after it only forward. Neighbours: `plan` (which asks), `meter_wire.word` (what
twins say).
"""

import re
from dataclasses import dataclass, replace
from typing import NamedTuple

from meter_wire.word import NO_WORD, Word

from meter_operator.desired import Json

PREPARING, FROZEN, COMMITTED = "Preparing", "Frozen", "Committed"
PHASES = (PREPARING, FROZEN, COMMITTED)
SUPERSEDED, METER_OFFLINE, OVERDUE = "Superseded", "MeterOffline", "DeadlineExceeded"
CANDIDATE_LOST, CANDIDATE_ENDED = "CandidateLost", "CandidateEnded"
LEFT_ALONE = "LeftAlone"
_CLUSTER_TEXT = re.compile(r"\((\w+): .*\)$", re.DOTALL)
SLOW_S = 10.0
"""A phase that lasts longer is told of in status; most last less, and cost no write."""


class Handover(NamedTuple):
    """What status says of a handover; `epoch` is the candidate's, the new one's after the commit.

    `source` is the epoch that it began from and `from_version` its version; `spec_hash`,
    `profile_hash` and `content_hash` (of all that its profile says) say what the candidate was made
    for, the latter two nothing in one that an older operator began; `begun` and `committed` when
    that was decided, RFC 3339.
    """

    phase: str
    epoch: int
    epoch_id: bytes
    key_version: int
    store_claim: str
    source: int
    spec_hash: str
    reason: str
    version: str
    begun: str
    from_version: str = ""
    profile_hash: str = ""
    committed: str = ""
    content_hash: str = ""

    @property
    def attempt(self) -> str:
        """The name of this handover in every message: the candidate's epoch id in hex."""
        return self.epoch_id.hex()

    @property
    def is_open(self) -> bool:
        """Whether it can still be withdrawn."""
        return self.phase in {PREPARING, FROZEN}


def parse_handover(status: Json) -> Handover | None:
    """Return the handover under way, None if there is none."""
    row = status.get("handover")
    if not row:
        return None
    return Handover(
        phase=str(row["phase"]),
        epoch=int(row["epoch"]),
        epoch_id=bytes.fromhex(row["epochId"]),
        key_version=int(row["keyVersion"]),
        store_claim=str(row.get("storeClaim") or ""),
        source=int(row["source"]),
        spec_hash=str(row["specHash"]),
        reason=str(row["reason"]),
        version=str(row.get("version") or ""),
        begun=str(row["begunAt"]),
        from_version=str(row.get("fromVersion") or ""),
        profile_hash=str(row.get("profileHash") or ""),
        committed=str(row.get("committedAt") or ""),
        content_hash=str(row.get("contentHash") or ""),
    )


def find_open(status: Json) -> Handover | None:
    """Return the handover under way that can still be withdrawn, None if there is none."""
    found = parse_handover(status)
    return found if found is not None and found.is_open else None


def encode_handover(handover: Handover) -> Json:
    """Return the form in status."""
    return {
        "phase": handover.phase,
        "epoch": handover.epoch,
        "epochId": handover.attempt,
        "keyVersion": handover.key_version,
        "storeClaim": handover.store_claim or None,
        "source": handover.source,
        "specHash": handover.spec_hash,
        "reason": handover.reason,
        "version": handover.version or None,
        "begunAt": handover.begun,
        "fromVersion": handover.from_version or None,
        "profileHash": handover.profile_hash or None,
        "committedAt": handover.committed or None,
        "contentHash": handover.content_hash or None,
    }


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what may take; seconds on the operator's own clock."""

    progress_s: float = 600.0
    frozen_s: float = 60.0
    soak_s: float = 30.0
    final_s: float = 600.0


def adapt_patience(patience: Patience, rollout: Json) -> Patience:
    """Return the deadlines with those that the meter's profile has of its own."""
    return replace(
        patience,
        progress_s=float(rollout.get("progressDeadlineSeconds", patience.progress_s)),
        soak_s=float(rollout.get("soakSeconds", patience.soak_s)),
    )


class Side(NamedTuple):
    """One twin as the operator sees it: its pod, and its last word.

    `exists`: its pod is there and not going; `trouble`: why it will not come up, as far as the
    cluster says; `online`: it has a session with the broker; `ended`: its pod has failed. Of the
    new twin after the commit: `served_s`: for how long it has been ready, nothing when it is not;
    `steady_s`: the same, where only a break in which it could have been replaced is one.
    """

    exists: bool
    online: bool = False
    trouble: str = ""
    word: Word = NO_WORD
    ended: bool = False
    served_s: float = 0.0
    steady_s: float = 0.0


class Decision(NamedTuple):
    """What to do about a handover: one of the verbs below, and why; `flow`: of which it waits."""

    verb: str
    reason: str = ""
    flow: str = ""


WAIT, ANNOUNCE, FREEZE, COMMIT, ABORT, TAKE_OVER, FINISH = (
    "Wait", "Announce", "Freeze", "Commit", "Abort", "TakeOver", "Finish"
)  # fmt: skip


def decide(
    handover: Handover,
    active: Side,
    candidate: Side,
    *,
    wanted: str,
    age_s: float,
    patience: Patience,
    offline_commits: bool = False,
    meter_silent: bool = False,
) -> Decision:
    """Return the next decision about a handover under way.

    Args:
        handover: from status.
        active: the twin of `source` (the old one, after the commit too).
        candidate: the twin of `epoch`.
        wanted: hash of what the meter's twin is to be now.
        age_s: how long this operator has seen this phase.
        patience: the deadlines.
        offline_commits: a meter that does not speak is no reason to wait.
        meter_silent: it does not speak to the active twin either, so the candidate is not to blame.
    """
    if handover.phase == COMMITTED:
        return _finish(handover, active, candidate, age_s, patience)
    if not active.exists:
        if candidate.exists and candidate.word.store:
            return Decision(COMMIT, f"TwinLost: the twin of epoch {handover.source} is gone")
        return Decision(TAKE_OVER, "TwinLost: it is gone, and the candidate had not begun")
    fault = _fault(handover, candidate, wanted)
    if fault:
        return Decision(ABORT, fault)
    steps = _freeze if handover.phase == PREPARING else _commit
    decision = steps(handover, active, candidate, offline_commits=offline_commits)
    limit_s = patience.progress_s if handover.phase == PREPARING else patience.frozen_s
    if decision.verb in {WAIT, ANNOUNCE} and age_s >= limit_s:
        silent = decision.verb == ANNOUNCE and meter_silent
        return Decision(ABORT, f"{METER_OFFLINE if silent else OVERDUE}: {decision.reason}")
    return decision


def _fault(handover: Handover, candidate: Side, wanted: str) -> str:
    if handover.spec_hash != wanted:
        return f"{SUPERSEDED}: the meter is to have another twin by now"
    if candidate.ended:
        return f"{CANDIDATE_ENDED}: its pod has failed ({candidate.trouble})"
    if not candidate.exists:
        return f"{CANDIDATE_LOST}: its pod is gone, or was never made"
    if candidate.word.refuses:
        return f"CandidateRefuses: {candidate.word.refuses}"
    return ""


def _freeze(
    handover: Handover, active: Side, candidate: Side, *, offline_commits: bool
) -> Decision:
    if not candidate.online:
        trouble = f" ({candidate.trouble})" if candidate.trouble else ""
        return Decision(WAIT, f"the candidate has not connected yet{trouble}", "2")
    if handover.source not in candidate.word.covers:
        return Decision(WAIT, "the candidate has not taken everything yet", "4")
    if not active.online:
        return Decision(WAIT, "the active twin has no session with the broker", "5")
    if not candidate.word.joined and not offline_commits:
        return Decision(ANNOUNCE, "the meter has not spoken to the candidate yet", "7")
    return Decision(FREEZE)


def _commit(
    handover: Handover, active: Side, candidate: Side, *, offline_commits: bool
) -> Decision:
    del offline_commits
    if active.word.frozen != handover.attempt:
        return Decision(WAIT, "the active twin has not said that it is frozen", "9")
    proof = candidate.word.covers.get(handover.source)
    if proof is None or proof.frozen != handover.attempt or proof.root != active.word.root:
        text = "the candidate has not proved that it holds what the other holds"
        return Decision(WAIT, text, "9")
    return Decision(COMMIT)


def _finish(handover: Handover, old: Side, new: Side, age_s: float, patience: Patience) -> Decision:
    if age_s < patience.soak_s:
        return Decision(WAIT, "soaking")
    if not old.exists:
        return Decision(FINISH, "the old twin is gone")
    if not new.served_s:
        return Decision(WAIT, "the new twin is not ready", "10")
    # One that is ready now and then has no soak in one piece, and must not soak for ever.
    is_late = new.steady_s >= patience.soak_s + patience.final_s
    if new.served_s < patience.soak_s and not is_late:
        return Decision(WAIT, "soaking")
    if is_spent(handover.source, old, new):
        return Decision(FINISH)
    if is_late:
        return Decision(FINISH, "Lost: what the old twin has stored last is not known")
    return Decision(WAIT, "the new twin has not taken all that the old one has", "11")


def describe_wait(decision: Decision, phase_s: float) -> str:
    """Return what a handover waits for, and in which flow, when that takes longer than usual.

    Of what the cluster says of a pod only the reason: the rest is long, and the pod's own.
    """
    if not decision.flow or phase_s < SLOW_S:
        return ""
    return f"flow {decision.flow}: " + _CLUSTER_TEXT.sub(r"(\1)", decision.reason)


def is_spent(epoch: int, old: Side, new: Side) -> bool:
    """Whether an older twin has nothing that the active one lacks, and will get nothing more."""
    taken = new.word.covers.get(epoch)
    return old.word.retired and taken is not None and taken.final and taken.root == old.word.root
