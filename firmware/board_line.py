"""The line to a board: mpremote's transport over a serial port, with errors that say what to do.

mpremote's classes are its own business between versions, so they are used here alone. Neighbour:
`provision_board`, which says what has to be where.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

ON_BOARD = Path(__file__).with_name("on_board.py")
AWAKE_MS = 300_000
"""A meter's watchdog goes on while its program is interrupted; this is how long it waits."""
ROMFS_S = 300
CHUNK_BYTES = 1024
"""What a board with little memory takes in one piece."""


class LineError(RuntimeError):
    """The board cannot be reached, or does not do what is asked."""


class BoardLine:
    """A board whose program is interrupted, from `with` on; see the module."""

    def __init__(self, port: str) -> None:
        """`port`: a serial port, or socket://host:port."""
        self._port = port
        self._line: Any = None

    def __enter__(self) -> Self:
        """Interrupt what runs.

        Raises:
            LineError: nobody answers.
        """
        try:
            self._line = SerialTransport(self._port, baudrate=115200)
            if self._port.startswith("socket://"):
                _hurry(self._line.serial)
            self._line.enter_raw_repl()
            self._line.exec(ON_BOARD.read_text())
        except (TransportError, serial.SerialException, OSError) as error:
            raise LineError(
                f"--port {self._port}: no MicroPython answers ({error}); check cable, port and "
                "that no other program has it open; docs/how-to/flash-a-board.md flashes one"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the port."""
        self._line.close()

    def run(self, code: str) -> str:
        """Have the board run a piece of Python; return what it prints.

        Raises:
            LineError: it raised, or does not answer.
        """
        try:
            found: bytes = self._line.exec(code)
        except TransportExecError as error:
            raise LineError(f"the board says: {error.error_output.splitlines()[-1]}") from error
        except (TransportError, serial.SerialException, OSError) as error:
            raise LineError(f"the board does not answer any more: {error}") from error
        return found.decode()

    def identify(self) -> str:
        """Return the platform of its MicroPython."""
        return self.run("import sys; print(sys.platform)").strip()

    def has_romfs(self) -> bool:
        """Return whether the board has a partition that bytecode runs from, in place."""
        code = "import vfs; print(hasattr(vfs, 'rom_ioctl') and vfs.rom_ioctl(1) > 0)"
        return self.run(code).strip() == "True"

    def find_device(self, path: str) -> str | None:
        """Return which meter the board is, None if it is none yet."""
        return self.run(f"print(find_device({path!r}))").strip() or None

    def write(self, path: str, content: bytes) -> None:
        """Have a file hold this.

        Raises:
            LineError: it could not be written, or does not read back.
        """
        folder = posixpath.dirname(path)
        if folder != "/":
            self.run(f"make_folders({folder!r})")
        self.run(f"stay_awake({AWAKE_MS})")
        try:
            self._line.fs_writefile(path, content, chunk_size=CHUNK_BYTES)
        except (TransportError, serial.SerialException, OSError) as error:
            raise LineError(f"{path}: cannot be written ({error}); is the flash full?") from error
        if self.run(f"print(find_hash({path!r}))").strip() != find_hash(content):
            raise LineError(f"{path}: does not read back as it was written; try again")

    def list_hashes(self, folder: str) -> dict[str, str]:
        """Return {path: SHA-256 in hex digits} of all files below a folder."""
        rows = [line.split() for line in self.run(f"list_files({folder!r})").splitlines()]
        return {path: found for found, path in rows}

    def remove(self, path: str) -> None:
        """Delete a file; none is no error."""
        self.run(f"remove({path!r})")

    def remove_tree(self, folder: str) -> None:
        """Delete every file below a folder."""
        for path in self.list_hashes(folder):
            self.remove(path)

    def reset(self) -> None:
        """Start the board anew; it does not answer to that."""
        self._line.exec_raw_no_follow("import machine; machine.reset()")


def find_hash(content: bytes) -> str:
    """Return the SHA-256 of a content, as the board tells it."""
    return hashlib.sha256(content).hexdigest()


def _hurry(port: Any) -> None:
    """Have a socket send small packets at once; each waits 40 ms otherwise (RFC 896)."""
    with socket.socket(fileno=os.dup(port.fileno())) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def deploy_romfs(port: str, image: Path) -> None:
    """Write a ROMFS image into the board's ROM partition, by mpremote's own command.

    Raises:
        LineError: there is no such partition, it is too small, or the board does not answer.
    """
    command = [sys.executable, "-m", "mpremote", "connect", port, "romfs", "deploy", str(image)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ROMFS_S)
    except subprocess.TimeoutExpired:
        raise LineError(f"the ROMFS image is not written after {ROMFS_S} s; try again") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["nothing"]
        raise LineError(
            f"the ROMFS image cannot be written, mpremote says: {said[-1]}; "
            "flash a MicroPython with ROMFS"
        )
