"""The operator's side of owner records: encode them, parse the meter's owner hello."""

from dataclasses import dataclass


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


def encode_owner_record(record: OwnerRecord, key: bytes) -> bytes:
    """Return the payload for `mt/<device>/owner`; key is K_owner.

    Raises:
        ValueError: naming the field that is out of range.
    """
    raise NotImplementedError


def parse_owner_record(payload: bytes, key: bytes) -> OwnerRecord:
    """Return an authentic record, for instance the retained copy.

    Raises:
        RemoteProtocolError: `malformed`, `version` or `mac`.
    """
    raise NotImplementedError


def claimed_device(payload: bytes) -> str:
    """Return the device that an owner hello names, before its key is known.

    Raises:
        RemoteProtocolError: `malformed` or `version`.
    """
    raise NotImplementedError


def parse_owner_hello(payload: bytes, key: bytes) -> OwnerHello:
    """Return an authentic owner hello; key is K_hello.

    Raises:
        RemoteProtocolError: `malformed`, `version` or `mac`.
    """
    raise NotImplementedError
