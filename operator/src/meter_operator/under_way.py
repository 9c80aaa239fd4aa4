"""What is next in the handover under way, from what is observed. Pure.

That of a meter that is left alone (`policies` says why) is brought to its end too: a twin that is
frozen acts on nobody, so no deadline may stand still. Neighbours: `handover` (the rules), `plan`
(everything else about a meter), `succession` (whose clock it is).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from meter_operator.handover import (
    ABORT,
    COMMIT,
    COMMITTED,
    LEFT_ALONE,
    PREPARING,
    TAKE_OVER,
    WAIT,
    Decision,
    Handover,
    Patience,
    Side,
    decide,
    parse_handover,
)
from meter_operator.hashes import hash_spec
from meter_operator.observed import Observed, has_never_spoken

_USUAL = Patience()
NOTHING = Decision(WAIT)


@dataclass(frozen=True, slots=True)
class Clock:
    """What a decision about a handover needs of time; seconds on the operator's own clock.

    `phase_s`: how long this operator has seen the phase of the handover. Since the commit of one
    that is not over: `unready_s` and `served_s`, how long its twin has not been ready, or has been;
    `steady_s`, as `handover.Side` has it. `older_s`: by epoch, how long it has seen a twin that is
    older than the active one; `tried_s`: by epoch, how long ago that candidate was given up;
    `permit`: how the rollout of its profile lets the meter begin; `offline_commits`: whether a
    meter that is offline is no reason to wait.
    """

    patience: Patience = _USUAL
    phase_s: float = 0.0
    unready_s: float = 0.0
    served_s: float = 0.0
    steady_s: float = 0.0
    older_s: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    tried_s: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    permit: str = ""
    offline_commits: bool = False

    @property
    def is_broken(self) -> bool:
        """Whether the new twin of a committed handover does not serve: its soak keeps up nobody.

        The old one is a donor of whatever follows. A healthy one is ready seconds after the commit.
        """
        return self.unready_s >= self.patience.frozen_s


def build_side(observed: Observed, epoch: int) -> Side:
    """Return one twin as the cluster and its own word show it."""
    pod, state = observed.find_pod(epoch), observed.states.get(epoch)
    exists = pod is not None and not pod.gone
    trouble = pod.message if pod is not None else ""
    ended = pod is not None and pod.gone and not pod.deleting
    if state is None:
        return Side(exists, trouble=trouble, ended=ended)
    return Side(exists, state.online, trouble, state.word, ended)


def decide_open(
    observed: Observed, handover: Handover, clock: Clock, *, wanted: str, is_due: bool = False
) -> Decision:
    """Return what is next in a handover that can still be withdrawn.

    `wanted`: as for `handover.decide`; `is_due`: the candidate's pod is yet to be made.
    """
    meter = observed.meter
    active = build_side(observed, handover.source)
    candidate = build_side(observed, handover.epoch)
    silent = _is_silent(observed)
    return decide(
        handover,
        active._replace(exists=True) if meter.store_claim else active,
        candidate._replace(exists=True) if is_due else candidate,
        wanted=wanted,
        age_s=clock.phase_s,
        patience=clock.patience,
        offline_commits=(clock.offline_commits and silent)
        or has_never_spoken(meter, observed.states.get(meter.epoch)),
        meter_silent=silent,
    )


def decide_end(observed: Observed, handover: Handover | None, clock: Clock | None) -> Decision:
    """Return what is next in a handover that is committed."""
    if handover is None or clock is None:
        return NOTHING
    old, new = build_side(observed, handover.source), build_side(observed, handover.epoch)
    new = new._replace(served_s=clock.served_s, steady_s=clock.steady_s)
    return decide(handover, old, new, wanted="", age_s=clock.phase_s, patience=clock.patience)


def decide_left_alone(observed: Observed, clock: Clock | None, why: str) -> Decision:
    """Return what is next in the handover of a meter for which no pod may be made now, and `why`.

    While it is prepared it is withdrawn, unless the candidate is the only twin that is left. A
    frozen twin waits for the proof or the deadline as ever. Where somebody knows more than status,
    or has the device, this status is none to decide from.
    """
    handover = parse_handover(observed.meter.status)
    if handover is None or clock is None:
        return NOTHING
    if observed.is_restored or observed.older_twins_of_device:
        return NOTHING
    if handover.phase == COMMITTED:
        return decide_end(observed, handover, clock)
    # What the profile says is not asked: it may be missing, or may not offer what is selected.
    decision = decide_open(observed, handover, clock, wanted=hash_spec(observed.meter.spec))
    is_prepared = handover.phase == PREPARING and decision.verb not in {ABORT, COMMIT}
    if is_prepared or decision.verb == TAKE_OVER:
        return Decision(ABORT, f"{LEFT_ALONE}: {why}")
    return decision


def _is_silent(observed: Observed) -> bool:
    """Whether the active twin, which is connected, does not hear the meter."""
    state = observed.states.get(observed.meter.epoch)
    return state is not None and state.online and state.meter != "connected"
