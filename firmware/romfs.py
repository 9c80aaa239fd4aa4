"""Packs bytecode into a ROMFS image, from which MicroPython (1.25 on) runs it in place.

On an ESP8266 this is how the firmware gets into 38 KB of heap: bytecode and names stay in flash
(`mpremote romfs deploy`), the heap holds data. The format is that of MicroPython's
extmod/vfs_rom.c; the header, then records of kind, length and payload, as big endian varints.
"""

from __future__ import annotations

HEADER = b"\xd2\xcd\x31"
_DATA = 2
_DIRECTORY = 4
_FILE = 5


def _uint(value: int) -> bytes:
    out = bytes([value & 0x7F])
    while value := value >> 7:
        out = bytes([0x80 | value & 0x7F]) + out
    return out


def _record(kind: int, payload: bytes) -> bytes:
    return _uint(kind) + _uint(len(payload)) + payload


def _name(text: str) -> bytes:
    return _uint(len(text)) + text.encode("ascii")


def _folder(files: dict[str, bytes]) -> bytes:
    """Return the records of files whose names are paths below one folder."""
    out = b""
    folders: dict[str, dict[str, bytes]] = {}
    for path, data in sorted(files.items()):
        first, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(first, {})[rest] = data
        else:
            out += _record(_FILE, _name(first) + _record(_DATA, data))
    for name, inner in folders.items():
        out += _record(_DIRECTORY, _name(name) + _folder(inner))
    return out


def pack(files: dict[str, bytes]) -> bytes:
    """Return an image of {path: content}."""
    body = _folder(files)
    length = _uint(len(body))
    if (len(HEADER) + len(length) + len(body)) % 2:
        length = b"\x80" + length
    return HEADER + length + body
