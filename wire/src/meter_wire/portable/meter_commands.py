"""Commands as the meter reads them: from the fields of a frame to the values of an event."""

from .constant import const
from .frame import need, need_uint
from .tlv import RemoteProtocolError, parse_int

_TAG_CODES = const(32)
_TAG_VALUE = const(36)
_TAG_DATA = const(39)
_FORM_LONG = const(0x80)
_MOST_DATA = const(512)

# Frame type, name of the event, tags of its values; tags from _TAG_DATA on are bytes.
_COMMANDS = (
    (0x84, "read", 32),
    (0x85, "subscribe", 32, 33, 34),
    (0x86, "write", 35, 37, 36, 38),
    (0x87, "forward", 39),
    (0x88, "time", 26),
    (0x89, "owner", 43),
    (0x8A, "order", 41, 42),
)


def parse_codes(data: bytes) -> list[bytes]:
    """Return six-byte OBIS codes of a list of codes.

    Raises:
        RemoteProtocolError: `malformed`.
    """
    codes = []
    position = 0
    while position < len(data):
        if data[position] == _FORM_LONG:
            codes.append(data[position + 1 : position + 7])
            position += 7
        elif data[position] == 0:
            codes.append(b"\x01\x00" + data[position + 1 : position + 4] + b"\xff")
            position += 4
        else:
            break
    if position != len(data):
        raise RemoteProtocolError("malformed")
    return codes


def parse_command(kind: int, fields: dict[int, bytes]) -> "tuple[str, tuple[object, ...]]":
    """Return (name, values) of a command; the name is empty for a type that is not known.

    Raises:
        RemoteProtocolError: `malformed` or `oversized`.
    """
    for row in _COMMANDS:
        if row[0] == kind:
            return str(row[1]), tuple([_value(fields, int(tag)) for tag in row[2:]])
    return "", ()


def _value(fields: dict[int, bytes], tag: int) -> object:
    if tag == _TAG_CODES:
        return parse_codes(fields[tag]) if tag in fields else None
    if tag == _TAG_VALUE:
        return parse_int(need(fields, tag))
    if tag < _TAG_DATA:
        return need_uint(fields, tag, 8)
    value = need(fields, tag)
    if len(value) > _MOST_DATA:
        raise RemoteProtocolError("oversized")
    return value
