"""The owner gate: what the operator's retained `ctl` record lets this epoch do.

Pure: records and `now_ms` in, verdicts out. A record counts only with a MAC under K_ctl, for this
epoch and its id, and never with a lower term (the operator's Lease transition count) or, within a
term, a lower counter than one seen before. *Retired* is final. Storing and acknowledging never
wait for the gate; effects on third parties need `has_authority`: *active*, read within the lease.
An empty or unreadable record is no word of the operator: it ends nothing, and renews nothing.
Neighbour: `control_reading`, which asks.
"""

import hmac
import json
from collections import Counter
from typing import Any, NamedTuple

STATES = ("candidate", "active", "frozen", "retired")
UNKNOWN = "unknown"
LAPSED = "lapsed"
LEASE_MS = 60_000
# Readings follow each other by a third of the lease: a second one in vain is its end.
MOST_MISSED = 2
MAX_RECORD = 1024


class GateMemory(NamedTuple):
    """What outlives a restart: highest term and counter accepted, and frozen or retired."""

    term: int = 0
    counter: int = 0
    state: str = UNKNOWN


class Verdict(NamedTuple):
    """Whether a record was accepted, why not, and whether memory is to be saved before acting."""

    accepted: bool
    reason: str = ""
    changed: bool = False


def encode_canonical(record: dict[str, Any]) -> bytes:
    """Return the bytes that the MAC covers: the record without `mac`, keys sorted, no spaces."""
    plain = {name: value for name, value in record.items() if name != "mac"}
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def sign_record(record: dict[str, Any], key: bytes) -> dict[str, Any]:
    """Return the record with its `mac`: HMAC-SHA256(K_ctl, canonical)[:16] in hex."""
    digest = hmac.digest(key, encode_canonical(record), "sha256")[:16]
    return {**record, "mac": digest.hex()}


class OwnerGate:
    """The gate of one epoch."""

    def __init__(self, epoch: int, epoch_id: bytes, key: bytes, memory: GateMemory) -> None:
        """Begin with what was remembered; *active* must be read again before it counts."""
        self._epoch = epoch
        self._epoch_id = epoch_id.hex()
        self._key = key
        self.memory = memory
        self.state = memory.state if memory.state in {"frozen", "retired"} else UNKNOWN
        self.refused: Counter[str] = Counter()
        """Records refused, by reason; `missing`: readings that brought none to accept."""
        self._read_ms: int | None = None
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
        record, reason = self._parse(payload)
        if record is None:
            return Verdict(False, reason)
        order = (record["term"], record["counter"])
        if order < (self.memory.term, self.memory.counter):
            return Verdict(False, "term" if record["term"] < self.memory.term else "counter")
        if self.state == "retired" and record["state"] != "retired":
            return Verdict(False, "retired")
        self.state = record["state"]
        self._read_ms = now_ms
        before, self.memory = self.memory, GateMemory(*order, self.state)
        return Verdict(True, changed=self.memory != before)

    def _parse(self, payload: bytes) -> tuple[dict[str, Any] | None, str]:
        if not payload:
            return None, "empty"
        if len(payload) > MAX_RECORD:
            return None, "oversized"
        try:
            record = json.loads(payload)
            claimed = bytes.fromhex(record["mac"])
            expected = bytes.fromhex(sign_record(record, self._key)["mac"])
            if not hmac.compare_digest(claimed, expected):
                return None, "mac"
            if record["epoch"] != self._epoch or record["epochId"] != self._epoch_id:
                return None, "epoch"
            numbers = (record["term"], record["counter"])
            if record["state"] not in STATES or any(type(one) is not int for one in numbers):
                return None, "malformed"
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None, "malformed"
        return record, ""

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

    def has_authority(self, now_ms: int, *, connected: bool) -> bool:
        """Whether effects on third parties are allowed: *active*, connected, within the lease."""
        return (
            self.is_active
            and connected
            and self._read_ms is not None
            and now_ms - self._read_ms < LEASE_MS
        )
