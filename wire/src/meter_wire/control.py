"""The control record: the operator's word to one twin, retained on `mt/<device>/<epoch>/ctl`.

JSON with a MAC under K_ctl of the epoch over the canonical form of everything else, so that a
reader skips fields that it does not know. `order` only grows: a decision raises `counter`, a
change of the operator's Lease raises `term`. Neighbours: the operator's `owner` writes it, the
twin's `owner_gate` judges it.
"""

import hmac
import json
from typing import Any, NamedTuple

from meter_wire.names import MAX_EPOCH
from meter_wire.portable.keys import mac16
from meter_wire.portable.tlv import RemoteProtocolError

STATES = ("candidate", "active", "frozen", "retired")
MAX_RECORD = 2048
MOST_PEERS = 8
_ID = 16
_MAX_ADDRESS = 64


class Peer(NamedTuple):
    """Another twin of the same meter; `address` is host:port of its mutual TLS port."""

    epoch: int
    epoch_id: bytes
    address: str = ""


class ControlRecord(NamedTuple):
    """What a twin is to be, and whom of its like it may serve and ask.

    `attempt` names the handover under way by its candidate's epoch id (hex), or is empty. `takers`
    may fetch what this twin has stored; from `donors` this twin fetches. `wait_s`: so long a twin
    that took over acts on nobody, because the one before may not know yet that it is retired.
    `unmet`: nobody knows of a word of the meter, so the twin acts on nobody before it has one: the
    meter alone knows of epochs before where a cluster and a broker have forgotten them. `stop`:
    whether load control is stopped; None says nothing of it, so that stays as it was.
    """

    epoch: int
    epoch_id: bytes
    state: str
    term: int
    counter: int
    attempt: str = ""
    takers: tuple[Peer, ...] = ()
    donors: tuple[Peer, ...] = ()
    wait_s: int = 0
    unmet: bool = False
    stop: bool | None = None

    @property
    def order(self) -> tuple[int, int]:
        """What only grows."""
        return self.term, self.counter


def encode_canonical(record: dict[str, Any]) -> bytes:
    """Return the bytes that the MAC covers: the record without `mac`, keys sorted, no spaces."""
    plain = {name: value for name, value in record.items() if name != "mac"}
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def sign_record(record: dict[str, Any], key: bytes) -> dict[str, Any]:
    """Return the record with its `mac`: HMAC-SHA256(K_ctl, canonical)[:16] in hex."""
    return {**record, "mac": mac16(key, encode_canonical(record)).hex()}


def encode_control(record: ControlRecord, key: bytes) -> bytes:
    """Return the payload of a record; fields that say nothing are left out."""
    document: dict[str, Any] = {
        "epoch": record.epoch,
        "epochId": record.epoch_id.hex(),
        "state": record.state,
        "term": record.term,
        "counter": record.counter,
    }
    if record.attempt:
        document["attempt"] = record.attempt
    if record.wait_s:
        document["wait"] = record.wait_s
    if record.unmet:
        document["unmet"] = True
    if record.stop is not None:
        document["stop"] = record.stop
    for name in ("takers", "donors"):
        peers = getattr(record, name)
        if peers:
            document[name] = [[one.epoch, one.epoch_id.hex(), one.address] for one in peers]
    signed = sign_record(document, key)
    return json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()


def parse_control(payload: bytes, key: bytes) -> ControlRecord:
    """Return an authentic record.

    Raises:
        RemoteProtocolError: `empty`, `oversized`, `mac` or `malformed`.
    """
    if not payload:
        raise RemoteProtocolError("empty")
    if len(payload) > MAX_RECORD:
        raise RemoteProtocolError("oversized")
    try:
        document = json.loads(payload)
        claimed = bytes.fromhex(document["mac"])
        if not hmac.compare_digest(claimed, mac16(key, encode_canonical(document))):
            raise RemoteProtocolError("mac")
        return _parse_document(document)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise RemoteProtocolError("malformed") from None


def _parse_document(document: dict[str, Any]) -> ControlRecord:
    if document["state"] not in STATES:
        raise ValueError(document["state"])
    attempt = document.get("attempt", "")
    if not isinstance(attempt, str) or len(attempt) > 2 * _ID:
        raise ValueError("attempt")
    return ControlRecord(
        _number(document["epoch"]),
        _identity(document["epochId"]),
        document["state"],
        _number(document["term"]),
        _number(document["counter"]),
        attempt,
        _parse_peers(document.get("takers", [])),
        _parse_peers(document.get("donors", [])),
        _number(document.get("wait", 0)),
        _flag(document.get("unmet", False)),
        None if "stop" not in document else _flag(document["stop"]),
    )


def _parse_peers(rows: Any) -> tuple[Peer, ...]:
    if not isinstance(rows, list) or len(rows) > MOST_PEERS:
        raise ValueError("peers")
    return tuple(_parse_peer(*row) for row in rows)


def _parse_peer(epoch: Any, epoch_id: Any, address: Any) -> Peer:
    if not isinstance(address, str) or len(address) > _MAX_ADDRESS:
        raise ValueError("address")
    return Peer(_number(epoch), _identity(epoch_id), address)


def _identity(text: Any) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != _ID:
        raise ValueError("epoch id")
    return found


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("flag")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_EPOCH:
        raise ValueError("number")
    return value
