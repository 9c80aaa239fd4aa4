"""The meter's small durable state: a few items of bytes in two slots, old or new, never half.

A slot is magic, generation, length, items and CRC; `save` writes the slot that does not hold the
newest generation, so a power cut leaves the other one. Both slots unreadable means that the flash
state is lost: the ring then begins a new incarnation. Neighbours: `flash` below, `ring` and the
tasks of the shell above.
"""

import struct

from crc import crc32

MAGIC = b"MTS1"
_HEADER = ">4sIH"
_HEADER_BYTES = 10

# Items of the state; a number never changes its meaning.
INCARNATION = 1
RING = 2
LINK = 3
REGISTERS = 4
CLOCK = 5
BOOT = 6
LOADS = 7
PERIODS = 8
SUPPLY = 9
CALENDARS = 10
FRONT_END = 11
GASP = 12
TAMPER = 13
WATCHDOG = 14
TOLD = 15
UNTOLD = 16


def encode_items(items: dict) -> bytes:
    """Encode {number: bytes} as number (1), length (2), content, in the order of the numbers."""
    out = b""
    for number in sorted(items):
        out += struct.pack(">BH", number, len(items[number])) + items[number]
    return out


def decode_items(data: bytes) -> dict:
    """Return {number: bytes} of `encode_items`."""
    items = {}
    at = 0
    while at < len(data):
        number, length = struct.unpack_from(">BH", data, at)
        at += 3
        items[number] = data[at : at + length]
        at += length
    return items


class State:
    """Items by number; changed in RAM by `set`, durable after `save`."""

    def __init__(self, flash, name: str = "state") -> None:
        """Load the newest slot that is whole; `fresh` tells that there was none.

        Args:
            flash: see `flash.Flash`.
            name: of the two files, without their number.
        """
        self._flash = flash
        self._name = name
        self._generation = 0
        self._items = {}
        for slot in (0, 1):
            generation, items = self._load(slot)
            if generation > self._generation:
                self._generation = generation
                self._items = items
        self.fresh = not self._generation
        self._dirty = self.fresh

    def _load(self, slot: int) -> tuple:
        data = self._flash.read(self._name + str(slot))
        if data is None or len(data) < _HEADER_BYTES + 4:
            return 0, {}
        magic, generation, length = struct.unpack_from(_HEADER, data, 0)
        end = _HEADER_BYTES + length
        if magic != MAGIC or len(data) < end + 4:
            return 0, {}
        if struct.unpack_from(">I", data, end)[0] != crc32(data[:end]):
            return 0, {}
        return generation, decode_items(data[_HEADER_BYTES:end])

    def get(self, number: int) -> bytes:
        """Return the item, empty if it was never set."""
        return self._items.get(number, b"")

    def set(self, number: int, content: bytes) -> None:
        """Change the item in RAM."""
        if self._items.get(number) != content:
            self._items[number] = content
            self._dirty = True

    def set_both(self, number: int, content: bytes, other: int, other_content: bytes) -> None:
        """Change two items that belong together; once they are there, that needs no memory."""
        items = self._items
        if items.get(number) != content or items.get(other) != other_content:
            items[number] = content
            items[other] = other_content
            self._dirty = True

    def next_boot(self) -> int:
        """Count this start and return its number; the caller saves it before anything leaves.

        It stays at the end of 32 bits (136 years with a boot a second): a twin then refuses HELLO.
        """
        boot = min(int.from_bytes(self.get(BOOT), "big") + 1, 0xFFFFFFFF)
        self.set(BOOT, boot.to_bytes(4, "big"))
        return boot

    def save(self) -> None:
        """Make every change durable; without a change nothing is written (flash wears)."""
        if not self._dirty:
            return
        items = encode_items(self._items)
        generation = self._generation + 1
        data = struct.pack(_HEADER, MAGIC, generation, len(items)) + items
        file = self._flash.create(self._name + str(generation & 1))
        try:
            self._flash.write(file, data + struct.pack(">I", crc32(data)))
        finally:
            file.close()
        self._generation = generation
        self._dirty = False
