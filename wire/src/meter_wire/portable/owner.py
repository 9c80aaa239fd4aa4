"""Owner records and owner hello: how a meter learns which epoch is active.

The record is the operator's signed word on `mt/<device>/owner`; see design rules 1, 3, 11. The
meter parses and judges here; the operator encodes with `meter_wire.owner_record`.
"""


class Owner:
    """A parsed and authenticated owner record."""

    device: str
    active: int
    active_id: bytes
    candidate: int
    candidate_id: bytes
    highest: int
    broker: str
    counter: int
    nonce: bytes
    content: bytes


def parse_owner(payload: bytes, key: bytes) -> Owner:
    """Return the record of an authentic payload.

    Args:
        payload: message of `mt/<device>/owner`.
        key: K_owner.

    Raises:
        RemoteProtocolError: `malformed`, `version` or `mac`.
    """
    raise NotImplementedError


def refusal(owner: Owner, device: str, current: "Owner | None", nonce: bytes) -> str | None:
    """Return why the meter must not accept an authentic record, None if it may.

    `current` is the one in flash, `nonce` that of the meter's last owner hello. An equal counter
    with equal content is `repeated`, not a fault.
    """
    raise NotImplementedError


def encode_owner_hello(
    key: bytes, device: str, nonce: bytes, incarnation: bytes, current: "Owner | None"
) -> bytes:
    """Return the payload for `mt/<device>/hello`; key is K_hello."""
    raise NotImplementedError
