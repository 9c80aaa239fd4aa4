"""The operator's side of owner records: encode them, parse the meter's owner hello."""

import re
from dataclasses import dataclass

from meter_wire.names import MAX_EPOCH, check_device
from meter_wire.portable.frame import need, need_uint
from meter_wire.portable.keys import mac16
from meter_wire.portable.owner import parse_owner, parse_signed
from meter_wire.portable.tlv import RemoteProtocolError, encode_uint, field, parse_fields
from meter_wire.tables import OWNER_HELLO_TAGS, OWNER_TAGS

_ID = 16


@dataclass(frozen=True, slots=True)
class OwnerRecord:
    """The whole state that the operator asserts (design rule 1)."""

    device: str
    active: int
    active_id: bytes
    candidate: int
    candidate_id: bytes
    highest: int
    broker: str
    counter: int
    nonce: bytes = b""


@dataclass(frozen=True, slots=True)
class OwnerHello:
    """What a meter says on `mt/<device>/hello`."""

    device: str
    nonce: bytes
    floor: int
    highest: int
    owner_counter: int
    incarnation: bytes


def _check(record: OwnerRecord) -> None:
    check_device(record.device)
    for name in ("active", "highest", "counter"):
        if not 1 <= getattr(record, name) <= MAX_EPOCH:
            raise ValueError(f"{name}: {getattr(record, name)} is not 1 to {MAX_EPOCH}")
    if record.candidate and not record.active < record.candidate:
        raise ValueError(f"candidate: {record.candidate} is not above {record.active}")
    if record.highest < max(record.active, record.candidate):
        raise ValueError(f"highest: {record.highest} is below active or candidate")
    if len(record.active_id) != _ID or len(record.candidate_id) != (_ID if record.candidate else 0):
        raise ValueError("active_id, candidate_id: 16 bytes each, b'' without a candidate")
    if len(record.nonce) not in (0, 8):
        raise ValueError("nonce: 8 bytes or none")
    if record.broker and not _is_address(record.broker):
        raise ValueError(f"broker: {record.broker!r} is not host:port")


def _is_address(broker: str) -> bool:
    found = re.fullmatch(r"(?:[^:/\[\] ]{1,253}|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})", broker)
    return found is not None and 0 < int(found[1]) < 1 << 16


def encode_owner_record(record: OwnerRecord, key: bytes) -> bytes:
    """Return the payload for `mt/<device>/owner`; key is K_owner.

    Raises:
        ValueError: naming the field that is out of range.
    """
    _check(record)
    content = bytes([1])
    for row in OWNER_TAGS:
        value = getattr(record, row.name)
        octets = (
            encode_uint(value)
            if isinstance(value, int)
            else value.encode()
            if isinstance(value, str)
            else value
        )
        if octets:
            content += field(row.number, octets)
    return content + mac16(key, content)


def parse_owner_record(payload: bytes, key: bytes) -> OwnerRecord:
    """Return an authentic record, for instance the retained copy.

    Raises:
        RemoteProtocolError: `malformed`, `version` or `mac`.
    """
    owner = parse_owner(payload, key)
    return OwnerRecord(**{row.name: getattr(owner, row.name) for row in OWNER_TAGS})


def claimed_device(payload: bytes) -> str:
    """Return the device that an owner hello names, before its key is known.

    Raises:
        RemoteProtocolError: `malformed` or `version`.
    """
    if payload[:1] not in (b"", b"\x01"):
        raise RemoteProtocolError("version")
    fields = parse_fields(payload[:-16], 1, len(OWNER_HELLO_TAGS))
    try:
        return check_device(fields[1].decode("ascii"))
    except (KeyError, ValueError):
        raise RemoteProtocolError("malformed") from None


def parse_owner_hello(payload: bytes, key: bytes) -> OwnerHello:
    """Return an authentic owner hello; key is K_hello.

    Raises:
        RemoteProtocolError: `malformed`, `version` or `mac`.
    """
    fields = parse_signed(payload, key, len(OWNER_HELLO_TAGS))
    tags = {row.name: row.number for row in OWNER_HELLO_TAGS}
    return OwnerHello(
        device=claimed_device(payload),
        nonce=need(fields, tags["nonce"], 8),
        floor=need_uint(fields, tags["floor"]),
        highest=need_uint(fields, tags["highest"]),
        owner_counter=need_uint(fields, tags["owner_counter"]),
        incarnation=need(fields, tags["incarnation"], 8),
    )
