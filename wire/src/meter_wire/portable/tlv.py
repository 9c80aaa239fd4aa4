"""Fields of link frames: tag u8, length as 7-bit varint of at most 2 bytes, value big endian.

One value has one encoding: integers and lengths are minimal, zero has no bytes. Unknown tags are
skipped; a repeated known tag, a cut field or a non-minimal number is malformed. Used by `frame`,
`entry`, `owner` and the links.
"""


class RemoteProtocolError(Exception):
    """The peer broke the protocol; `args[0]` is the refusal's name, as in `tables.REFUSALS`."""


def encode_uint(number: int) -> bytes:
    """Return a non-negative integer as minimal big endian bytes; zero is empty."""
    octets = 0
    while number >> (8 * octets):
        octets += 1
    return number.to_bytes(octets, "big")


def parse_uint(value: bytes, octets: int = 8) -> int:
    """Return a minimal unsigned integer of at most `octets` bytes.

    Raises:
        RemoteProtocolError: `malformed`: too long, or a leading zero byte.
    """
    if len(value) > octets or value[:1] == b"\0":
        raise RemoteProtocolError("malformed")
    return int.from_bytes(value, "big")


def encode_int(number: int) -> bytes:
    """Return a signed integer as minimal two's complement, big endian; zero is empty."""
    out = b""
    while number not in (0, -1) or (number == 0) != (not out or out[0] < 128):
        out = bytes([number & 0xFF]) + out
        number >>= 8
    return out


def parse_int(value: bytes) -> int:
    """Return a two's complement integer.

    Raises:
        RemoteProtocolError: `malformed`: a superfluous leading byte.
    """
    number = int.from_bytes(value, "big")
    if value and value[0] & 0x80:
        number -= 1 << (8 * len(value))
    if encode_int(number) != value:
        raise RemoteProtocolError("malformed")
    return number


def encode_length(length: int) -> bytes:
    """Return a length below 16384 as varint, low seven bits first."""
    if length < 128:
        return bytes([length])
    return bytes([length & 0x7F | 0x80, length >> 7])


def field(tag: int, value: bytes) -> bytes:
    """Return one encoded field."""
    return bytes([tag]) + encode_length(len(value)) + value


def number(tag: int, value: int) -> bytes:
    """Return one encoded field with an unsigned integer."""
    return field(tag, encode_uint(value))


def pack(*items: "int | bytes") -> bytes:
    """Return encoded fields from tag, value, tag, value, ...; a value is unsigned or bytes."""
    out = b""
    for position in range(0, len(items), 2):
        tag = items[position]
        value = items[position + 1]
        octets = encode_uint(value) if isinstance(value, int) else value
        out += field(tag, octets)  # type: ignore[arg-type]
    return out


def take(data: bytes, position: int, end: int) -> tuple[bytes, int]:
    """Return (value, next position) of the length-prefixed value at `position`, before `end`.

    Raises:
        RemoteProtocolError: `malformed`: it is cut, or its length is not minimal.
    """
    try:
        length = data[position]
        position += 1
        if length & 0x80:
            high = data[position]
            position += 1
            if high == 0 or high & 0x80:
                raise RemoteProtocolError("malformed")
            length = length & 0x7F | high << 7
    except IndexError:
        raise RemoteProtocolError("malformed") from None
    if position + length > end:
        raise RemoteProtocolError("malformed")
    return data[position : position + length], position + length


def parse_fields(data: bytes, position: int, highest: int, end: int = -1) -> dict[int, bytes]:
    """Return {tag: value} of the known fields, whose tags are 1 to `highest`.

    They lie from `position` to `end`, by default the end of the data.

    Raises:
        RemoteProtocolError: `malformed`: cut, trailing bytes, or a known tag twice.
    """
    fields: dict[int, bytes] = {}
    if end < 0:
        end = len(data)
    while position < end:
        tag = data[position]
        value, position = take(data, position + 1, end)
        if tag in fields:
            raise RemoteProtocolError("malformed")
        if 0 < tag <= highest:
            fields[tag] = value
    return fields
