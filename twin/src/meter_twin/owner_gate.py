"""The owner gate: what the operator's retained `ctl` record lets this epoch do.

Pure: records and `now_ms` in, verdicts out. A record counts only with a MAC under K_ctl, for this
epoch and its id, and never with a lower term (the operator's Lease transition count) or, within a
term, a lower counter than one seen before. *Retired* is final. Storing and acknowledging never
wait for the gate; effects on third parties need `has_authority`: *active*, read within the lease.
An empty or unreadable record is no word of the operator: it ends nothing, and renews nothing.
Neighbour: `control_reading`, which asks.
"""

from collections import Counter
from typing import NamedTuple

from meter_wire.control import ControlRecord, parse_control
from meter_wire.portable.tlv import RemoteProtocolError

UNKNOWN = "unknown"
LAPSED = "lapsed"
LEASE_MS = 60_000
# Readings follow each other by a third of the lease: a second one in vain is its end.
MOST_MISSED = 2


class GateMemory(NamedTuple):
    """What outlives a restart: highest term and counter accepted, and frozen or retired.

    `waited`: what a twin that took over has to wait before it acts on others is over. `stopped`:
    load control is; `stop_term` and `stop_counter` are those of the last record that said so.
    """

    term: int = 0
    counter: int = 0
    state: str = UNKNOWN
    waited: bool = False
    stopped: bool = False
    stop_term: int = 0
    stop_counter: int = 0

    def take(self, record: ControlRecord) -> "GateMemory":
        """Return what is remembered after a record that is accepted.

        Whoever replays a record of before the stop must not permit loads again: it ends only with
        a record of a higher order than the last one that said it (ADR 23).
        """
        found = self._replace(term=record.term, counter=record.counter, state=record.state)
        if record.stop:
            return found._replace(stopped=True, stop_term=record.term, stop_counter=record.counter)
        is_end = record.stop is not None and record.order > (self.stop_term, self.stop_counter)
        return found._replace(stopped=False) if is_end else found


class Verdict(NamedTuple):
    """Whether a record was accepted, why not, and whether memory is to be saved before acting."""

    accepted: bool
    reason: str = ""
    changed: bool = False


class OwnerGate:
    """The gate of one epoch."""

    def __init__(self, epoch: int, epoch_id: bytes, key: bytes, memory: GateMemory) -> None:
        """Begin with what was remembered; *active* must be read again before it counts."""
        self._epoch = epoch
        self._epoch_id = epoch_id
        self._key = key
        self.memory = memory
        self.state = memory.state if memory.state in {"frozen", "retired"} else UNKNOWN
        self.record: ControlRecord | None = None
        """The last record that was accepted since the start."""
        self.refused: Counter[str] = Counter()
        """Records refused, by reason; `missing`: readings that brought none to accept."""
        self._read_ms: int | None = None
        self._act_from_ms: int | None = None
        self._is_met = memory.waited
        self._is_unmet = False
        self._is_open = False
        self._missed = 0

    def read_again(self) -> bool:
        """Note that the record is asked for again; True if the last reading ended the lease."""
        if self._is_open:
            self.refused["missing"] += 1
            self._missed += 1
        ends = self._is_open and self._missed == MOST_MISSED
        self._is_open = True
        return ends

    def session_lost(self) -> None:
        """Note that what was asked will not be answered; a broker that is away says nothing."""
        self._is_open = False

    def receive(self, payload: bytes, now_ms: int) -> Verdict:
        """Judge a message of `ctl`; never raises for what it contains.

        Args:
            payload: as received.
            now_ms: monotonic time when the retained copy was asked for (not when it arrived).
        """
        verdict = self._judge(payload, now_ms)
        if verdict.accepted:
            self._is_open, self._missed = False, 0
        else:
            self.refused[verdict.reason] += 1
        return verdict

    def _judge(self, payload: bytes, now_ms: int) -> Verdict:
        try:
            record = parse_control(payload, self._key)
        except RemoteProtocolError as error:
            return Verdict(False, str(error.args[0]))
        if (record.epoch, record.epoch_id) != (self._epoch, self._epoch_id):
            return Verdict(False, "epoch")
        if record.order < (self.memory.term, self.memory.counter):
            return Verdict(False, "term" if record.term < self.memory.term else "counter")
        if self.state == "retired" and record.state != "retired":
            return Verdict(False, "retired")
        self.state = record.state
        self.record = record
        self._read_ms = now_ms
        self._begin_wait(now_ms)
        before = self.memory
        self.memory = before.take(record)
        return Verdict(True, changed=self.memory != before)

    def meet(self, now_ms: int) -> None:
        """Note that the meter speaks to this epoch, so it knows of none above."""
        if not self._is_met:
            self._is_met = True
            self._begin_wait(now_ms)

    def _begin_wait(self, now_ms: int) -> None:
        record = self.record
        if record is None or record.state != "active" or self._act_from_ms is not None:
            return
        self._is_unmet = record.unmet and not self._is_met
        if not self._is_unmet:
            self._act_from_ms = now_ms + (0 if self.memory.waited else record.wait_s * 1000)

    @property
    def is_active(self) -> bool:
        """Whether the last record said *active* and is still to be read, while there is a broker.

        Readiness: a broker that goes away is no reason to flip a whole fleet, so time alone ends
        only `has_authority`.
        """
        return self.label == "active"

    @property
    def label(self) -> str:
        """The state in a word; `lapsed`: *active*, but its record is not to be read any more."""
        if self.state == "active" and self._missed >= MOST_MISSED:
            return LAPSED
        return self.state

    @property
    def is_retired(self) -> bool:
        """Whether this epoch must store and acknowledge nothing more."""
        return self.state == "retired"

    def waits(self, now_ms: int) -> bool:
        """Whether a twin before this one may still act on others.

        A frozen twin that was killed does not know how long it has waited.
        """
        if self._act_from_ms is None:
            return self.state == "frozen" and not self.memory.waited and not self._is_unmet
        return now_ms < self._act_from_ms

    def end_wait(self, now_ms: int) -> bool:
        """Whether the wait of a twin that took over ends now: memory is to be saved."""
        if self.memory.waited or self._act_from_ms is None or now_ms < self._act_from_ms:
            return False
        self.memory = self.memory._replace(waited=True)
        return True

    def has_authority(self, now_ms: int, *, connected: bool) -> bool:
        """Whether effects on third parties are allowed: they cannot tell an old epoch from a new.

        *Active*, connected, within the lease, long enough after a takeover, and not before anybody
        has heard the meter.
        """
        return self.may_command(now_ms, connected=connected) and (
            self._act_from_ms is not None and now_ms >= self._act_from_ms
        )

    def may_command(self, now_ms: int, *, connected: bool) -> bool:
        """Whether the meter may be told something: it knows its epoch and refuses another's."""
        return (
            self.is_active
            and connected
            and self._read_ms is not None
            and now_ms - self._read_ms < LEASE_MS
        )
