"""What `board_line` has the board run: sent as text, defined there, forgotten at the next reset.

MicroPython; only the built-in modules of every port.
"""

import binascii
import hashlib
import json
import os

IS_FOLDER = 0x4000


def find_hash(path: str) -> str:
    """Return the SHA-256 of a file in hex digits, nothing if there is none."""
    try:
        file = open(path, "rb")
    except OSError:
        return ""
    found = hashlib.sha256()
    with file:
        while True:
            block = file.read(512)
            if not block:
                return binascii.hexlify(found.digest()).decode()
            found.update(block)


def make_folders(path: str) -> None:
    """Make a folder, and those above it."""
    at = ""
    for part in path.strip("/").split("/"):
        at += "/" + part
        try:
            os.mkdir(at)
        except OSError:
            os.stat(at)


def list_files(folder: str) -> None:
    """Print hash and path of each file below a folder, one a line."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        path = folder + "/" + name
        if os.stat(path)[0] & IS_FOLDER:
            list_files(path)
        else:
            print(find_hash(path), path)


def remove(path: str) -> None:
    """Delete a file; none is no error."""
    try:
        os.remove(path)
    except OSError:
        pass


def find_device(path: str) -> str:
    """Return which meter a `meter.json` names, nothing if there is none."""
    try:
        with open(path) as file:
            return str(json.load(file)["device"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def stay_awake(milliseconds: int) -> None:
    """Have the watchdog of an interrupted meter wait; a board without one needs nothing."""
    try:
        import machine

        machine.WDT(timeout=milliseconds).feed()
    except Exception:
        pass
