#!/usr/bin/env python3
"""Put firmware and credentials of one meter onto a board, over its serial port.

    python firmware/provision_board.py --board esp32 --bundle bundle/house-1
        --wifi-ssid HOME --wifi-password-file wifi.txt --port /dev/ttyUSB0

The board has MicroPython already (docs/how-to/flash-a-board.md). Everything is checked before
anything is written; each file is read back by its hash; `main.py`, which starts the meter, comes
last, so a board whose cable was pulled does not start with half a firmware. What the meter has
measured stays (`/meter/state`): a board that holds another meter's is refused without --replace.
Neighbours: `board_bundle` (what), `board_line` (how), `board_file`, `build_firmware`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import board_bundle
import board_file
import build_firmware
from board_line import BoardLine, LineError, deploy_romfs, find_hash

PASSWORD_VARIABLE = "METERTWIN_WIFI_PASSWORD"  # noqa: S105 - its name

NO_ROMFS = (
    "  this MicroPython has no ROM partition: the firmware goes into /lib and takes some 40 KB\n"
    "  more heap; docs/how-to/flash-a-board.md says how to make one"
)


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"The network's password is read from --wifi-password-file or ${PASSWORD_VARIABLE}.",
    )
    known = ", ".join(board_file.names())
    parser.add_argument("--board", required=True, help=f"{known}, or a .json file of your own")
    parser.add_argument(
        "--bundle", required=True, type=Path, help="what `kubectl meter provision` wrote"
    )
    parser.add_argument("--key", type=Path, help="private key in DER, if the bundle has none")
    parser.add_argument("--calibration", type=Path, help="JSON of this very board's calibration")
    parser.add_argument("--wifi-ssid", help="the wireless network's name")
    parser.add_argument("--wifi-password-file", type=Path, help="holds its password, one line")
    parser.add_argument(
        "--port", default="/dev/ttyUSB0", help="serial port, or socket://host:port [%(default)s]"
    )
    parser.add_argument("--replace", action="store_true", help="erase another meter's readings")
    parser.add_argument("--check", action="store_true", help="check everything, write nothing")
    return parser


def read_wifi(given: argparse.Namespace) -> board_bundle.Wifi | None:
    """Return how to join the network, None if none was named.

    Raises:
        BundleError: the file of the password cannot be read.
    """
    if given.wifi_ssid is None:
        return None
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if given.wifi_password_file is not None:
        password = _read(given.wifi_password_file, "--wifi-password-file").rstrip("\r\n")
    return board_bundle.Wifi(given.wifi_ssid, password)


def read_calibration(path: Path | None) -> dict[str, Any] | None:
    """Return the calibration of a file.

    Raises:
        BundleError: it cannot be read or is no JSON object.
    """
    if path is None:
        return None
    try:
        found = json.loads(_read(path, "--calibration"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise board_bundle.BundleError(f"--calibration: {path} is no JSON object")
    return found


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise board_bundle.BundleError(f"{option}: {path}: {error.strerror}") from error


def prepare(given: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """Return (declaration, settings, {path on the board: content}), all of it checked.

    Raises:
        BoardFileError: the declaration is wrong.
        BundleError: the bundle or an option is.
    """
    board = board_file.load_board(given.board)
    settings = board_bundle.complete(
        board_bundle.load_settings(given.bundle),
        board,
        read_wifi(given),
        read_calibration(given.calibration),
    )
    needs_wifi = board["port"] != "unix" and "wifi" not in settings
    if needs_wifi:
        raise board_bundle.BundleError("wifi: is missing; give --wifi-ssid")
    return board, settings, board_bundle.list_files(settings, board, given.bundle, given.key)


def admit(line: BoardLine, board: dict[str, Any], device: str, *, replaces: bool) -> None:
    """Make sure that this is the board that is meant, and stop it from starting half a firmware.

    Raises:
        LineError: it is another, or another meter's.
    """
    found = line.identify()
    if found != board["port"] and not (found == "linux" and board["port"] == "unix"):
        raise LineError(f"--board: {board['name']} is for {board['port']}, this is {found}")
    where = board_bundle.FOLDERS[board["profile"]]
    other = line.find_device(f"{where}/meter.json")
    if other not in {None, device}:
        if not replaces:
            raise LineError(
                f"the board is {other} and may hold its readings; let its twin have them, then "
                "give --replace to erase them"
            )
        line.remove_tree(f"{where}/state")
    line.remove("/main.py")


def install_library(line: BoardLine, folder: Path) -> None:
    """Write those modules of the firmware that are not there; what is of an earlier one goes."""
    wanted = {f"/lib/{path.relative_to(folder)}": path for path in sorted(folder.rglob("*.mpy"))}
    there = line.list_hashes("/lib")
    for path in there.keys() - wanted.keys():
        line.remove(path)
    for number, (name, source) in enumerate(wanted.items(), 1):
        content = source.read_bytes()
        is_there = there.get(name) == find_hash(content)
        if not is_there:
            line.write(name, content)
        said = "is there" if is_there else "written"
        print(f"  {number:3d}/{len(wanted)} {name} {said}", flush=True)


def install(line: BoardLine, target: Path, files: dict[str, bytes], *, in_place: bool) -> None:
    """Write what a meter is, and last what starts it.

    Args:
        line: to the board.
        target: what was built for it.
        files: of the meter.
        in_place: its bytecode is in the ROM partition already.

    Raises:
        LineError: the board does not do what is asked.
    """
    if in_place:
        line.remove_tree("/lib")
    else:
        install_library(line, target / "lib")
    for name, content in [*files.items(), ("/main.py", (target / "main.py").read_bytes())]:
        line.write(name, content)
        print(f"  {name}", flush=True)
    line.reset()


def run(given: argparse.Namespace) -> None:
    """Do what the command says.

    Raises:
        BoardFileError: the declaration is wrong.
        BundleError: the bundle or an option is.
        LineError: the board does not do what is asked.
    """
    board, settings, files = prepare(given)
    device = settings["device"]
    print(f"{device}: checked for {board['title']}", flush=True)
    if given.check:
        return
    with BoardLine(given.port) as line:
        admit(line, board, device, replaces=given.replace)
        in_place = board["profile"] == "small" or line.has_romfs()
    if not in_place:
        print(NO_ROMFS, flush=True)
    with tempfile.TemporaryDirectory() as folder:  # its own: many boards may be at it at once
        target = Path(folder) / board["name"]
        build_firmware.build_board(board, target)
        if in_place:
            deploy_romfs(given.port, next(target.glob("*.romfs")))
            print("  the firmware, into the ROM partition", flush=True)
        with BoardLine(given.port) as line:
            install(line, target, files, in_place=in_place)
    print(f"{device}: done; it starts now. `kubectl meter status {device}` tells when it is there")


def main() -> int:
    """Provision; 1 if it could not be done, 2 if what was given is wrong."""
    given = build_parser().parse_args()
    try:
        run(given)
    except (board_bundle.BundleError, board_file.BoardFileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except LineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
