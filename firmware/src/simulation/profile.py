"""A year of measured quarter-hour means, read from the file that tools/profiles writes.

File, little endian: "MTPF", version (u8), three zero octets, UTC second of the first quarter hour
(u32), its length in seconds (u32), their number (u32), sum of all values (u64), then one i32 each:
millionths of the source's unit (the profile's peak, or the installed power of a plant).
"""

import struct

HEADER = "<4sB3sIIIQ"
HEADER_SIZE = 28
STEP_S = 900


class ProfileError(ValueError):
    """A profile file that cannot be used; the text names it."""


class Profile:
    """Random access to one profile; the year repeats."""

    def __init__(self, path: str) -> None:
        """Read the header of `path`.

        Raises:
            ProfileError: not a profile file of version 1.
            OSError: no such file.
        """
        self.path = path
        with open(path, "rb") as file:
            header = file.read(HEADER_SIZE)
        if len(header) != HEADER_SIZE or header[:4] != b"MTPF" or header[4] != 1:
            raise ProfileError(f"{path}: not a profile file of version 1")
        _, _, _, self.origin_s, step_s, self.count, self.total = struct.unpack(HEADER, header)
        if step_s != STEP_S or not self.count or not self.total:
            raise ProfileError(f"{path}: not a year of quarter hours")
        self._cache: dict[int, int] = {}

    def value(self, index: int) -> int:
        """Return the mean of a quarter hour in millionths; `index` counts from the origin."""
        index %= self.count
        if index not in self._cache:
            with open(self.path, "rb") as file:
                file.seek(HEADER_SIZE + 4 * index)
                value = struct.unpack("<i", file.read(4))[0]
            if len(self._cache) > 3:
                self._cache.clear()
            self._cache[index] = value
        return self._cache[index]
