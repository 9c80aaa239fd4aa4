"""A NOR flash in RAM for littlefs: it counts what wears it and keeps a journal to cut the power in.

MicroPython's protocol of block devices (readblocks, writeblocks, ioctl 4 to 6). ESP8266 and ESP32
erase blocks of 4096 octets (`SEC_SIZE` of MicroPython's flashbdev.py); littlefs has MicroPython's
settings (extmod/vfs_lfsx.c: 32 octets to read and to program, a cache of 128). Neighbours:
`power_cuts`, `wear`.
"""

import vfs

BLOCK_BYTES = 4096
MOUNT_POINT = "/nor"
WAYS = 3
"""In how many ways an operation may be cut, see `tear`."""
_ERASED = b"\xff" * BLOCK_BYTES
_IO_ERROR = -5


class NorFlash:
    """Blocks of 4096 octets; `journal` takes (block, offset, octets or None: erased) if not None."""

    def __init__(self, blocks, data=None):
        self.data = data or bytearray(_ERASED * blocks)
        self.blocks = blocks
        self.erases = [0] * blocks
        self.journal = None
        self.is_dead = False

    def readblocks(self, block, buffer, offset=0):
        """Fill the buffer."""
        start = block * BLOCK_BYTES + offset
        buffer[:] = self.data[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        """Program octets that are erased."""
        if self.is_dead:
            return _IO_ERROR
        if self.journal is not None:
            self.journal.append((block, offset, bytes(buffer)))
        start = block * BLOCK_BYTES + offset
        end = start + len(buffer)
        if self.data[start:end] != _ERASED[: len(buffer)]:
            raise AssertionError(f"block {block} is programmed twice at {offset}")
        self.data[start:end] = buffer
        return 0

    def ioctl(self, operation, block):
        """Answer littlefs; 6 erases a block."""
        if operation == 4:
            return self.blocks
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            if self.is_dead:
                return _IO_ERROR
            if self.journal is not None:
                self.journal.append((block, 0, None))
            self.erases[block] += 1
            self.data[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES] = _ERASED
        return 0


def format_flash(device):
    """Make an empty file system."""
    vfs.VfsLfs2.mkfs(device)


def mount(device):
    """Mount the file system at `MOUNT_POINT`, as a start does."""
    vfs.mount(vfs.VfsLfs2(device), MOUNT_POINT)


def power_off(device):
    """Take the device away without a word to the file system; what is open stays open."""
    device.is_dead = True
    vfs.umount(MOUNT_POINT)


def apply(data, operation):
    """Carry out a whole operation of a journal."""
    block, offset, octets = operation
    start = block * BLOCK_BYTES + offset
    if octets is None:
        octets = _ERASED
    data[start : start + len(octets)] = octets


def tear(data, operation, way):
    """Carry out what an operation leaves when the power fails in it; way 0: nothing.

    A program ends in its middle, the next octet with a part of its bits (1), or before its last
    octet (2); an erase has emptied half of the block (1) or left rubbish (2).
    """
    block, offset, octets = operation
    start = block * BLOCK_BYTES + offset
    if way == 0:
        return
    if octets is None:
        if way == 1:
            data[start : start + BLOCK_BYTES // 2] = _ERASED[: BLOCK_BYTES // 2]
        else:
            for at in range(0, BLOCK_BYTES, 64):
                data[start + at : start + at + 64] = bytes(
                    [(at * 37 + n * 101) & 255 for n in range(64)]
                )
        return
    whole = len(octets) // 2 if way == 1 else len(octets) - 1
    data[start : start + whole] = octets[:whole]
    if way == 1:
        data[start + whole] = octets[whole] | 0x5A
