"""A folder on a plain file system; what a call here has written is on the medium when it returns.

The only module that opens files of the meter's memory. littlefs (boards) and POSIX (unix port,
CPython) both synchronise at `flush`, CPython needs `os.fsync` besides. Nothing is renamed and
nothing truncated in place: callers write whole small files in two slots or append to a segment,
and check what they read. Neighbours: `state` and `ring` above; tests put a folder with power cuts
in its place.
"""

import os

_fsync = getattr(os, "fsync", None)


class Flash:
    """Files of one folder by short names."""

    def __init__(self, folder: str) -> None:
        """Make the folder if it is not there (its parent must be)."""
        self.folder = folder
        try:
            os.mkdir(folder)
        except OSError:
            os.listdir(folder)

    def path(self, name: str) -> str:
        """Return the path of the file `name`."""
        return self.folder + "/" + name

    def names(self) -> list:
        """Return the names of the files."""
        return os.listdir(self.folder)

    def read(self, name: str) -> bytes | None:
        """Return the content, None if there is no such file."""
        try:
            with open(self.path(name), "rb") as file:
                return file.read()
        except OSError:
            return None

    def open(self, name: str):
        """Open an existing file for reading and writing in place, without a buffer."""
        return open(self.path(name), "r+b", 0)

    def create(self, name: str):
        """Make the file anew, empty, and open it for reading and writing."""
        return open(self.path(name), "w+b", 0)

    def write(self, file, data: bytes) -> None:
        """Write all of `data` at the current position and synchronise."""
        view = memoryview(data)
        while len(view) > 0:
            written = file.write(view)
            view = view[written:]
        file.flush()
        if _fsync is not None:
            _fsync(file.fileno())

    def remove(self, name: str) -> None:
        """Delete the file; none is no error."""
        try:
            os.remove(self.path(name))
        except OSError:
            pass
