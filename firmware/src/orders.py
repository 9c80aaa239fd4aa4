"""Orders that the utility signed: the only way to the supply relay and to large clock steps.

An order is version 1 and fields (`meter_wire.portable.tlv`): 1 device, 2 action (1 disconnect,
2 make ready for reconnection, 3 set the clock), 3 reason, 4 operator, 5 not after (UTC s),
6 counter (rises with each order to this meter), 7 UTC in ms (action 3). The signature is ECDSA
P-256 with SHA-256 over the order. Neighbours: `p256` verifies, `commands` carries out.
"""

from meter_wire.portable.tlv import RemoteProtocolError, parse_fields, parse_uint

DISCONNECT = 1
RECONNECT = 2
SET_CLOCK = 3


class Order:
    """A parsed order; its signature was checked by the link."""

    def __init__(self, data: bytes) -> None:
        """Parse.

        Raises:
            RemoteProtocolError: `malformed` or `version`.
        """
        if data[:1] != b"\x01":
            raise RemoteProtocolError("version")
        fields = parse_fields(data, 1, 7)
        for tag in (1, 2, 3, 4, 5, 6):
            if tag not in fields:
                raise RemoteProtocolError("malformed")
        try:
            self.device = fields[1].decode()
        except ValueError:
            raise RemoteProtocolError("malformed")
        self.action = parse_uint(fields[2], 1)
        self.reason = parse_uint(fields[3], 2)
        self.not_after_s = parse_uint(fields[5], 4)
        self.counter = parse_uint(fields[6], 4)
        self.utc_ms = parse_uint(fields.get(7, b""))
