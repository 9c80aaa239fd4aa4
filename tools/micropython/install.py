#!/usr/bin/env python3
"""Put a MicroPython into a cache and print how to run it.

Why: the firmware and `meter_wire.portable` must be tested on a real MicroPython, and memory
limits only mean something on a 32-bit one (the 64-bit port needs 44 KB where a board needs 28).
`amd64` and `i386` are Debian's packages of the unix port; `esp8266-model` and `cortex-m3` are built
from its source (`models.py`). Nothing is installed (`debian_archive.py`): an interpreter runs
through the dynamic loader that came with it.

Neighbour: the `micropython` launcher beside this file, which tests of wire/ and firmware/ run.

    install.py --arch i386        # prints the command prefix on one line
"""

from __future__ import annotations

import argparse
import pathlib
import shlex
import sys

from debian_archive import InstallError, alone, cache_folder, unpack
from models import CORTEX_M3, ESP8266_MODEL, ensure_model, ensure_qemu

TRIPLETS = {
    "amd64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "i386": ("i386-linux-gnu", "ld-linux.so.2"),
}
KINDS = (*TRIPLETS, "esp8266-model", "cortex-m3")
MACHINE = (
    "-machine", "mps2-an385", "-nographic", "-monitor", "null", "-serial", "stdio", "-semihosting",
)  # fmt: skip


def command_prefix(root: pathlib.Path, arch: str) -> list[str]:
    """Return the command that runs the MicroPython unpacked in `root`."""
    triplet, loader = TRIPLETS[arch]
    libraries = root / "usr" / "lib" / triplet
    interpreter = root / "usr" / "bin" / "micropython"
    return [str(libraries / loader), "--library-path", str(libraries), str(interpreter)]


def is_complete(root: pathlib.Path, arch: str) -> bool:
    """Tell whether the loader and the interpreter are in `root`."""
    prefix = command_prefix(root, arch)
    return pathlib.Path(prefix[0]).is_file() and pathlib.Path(prefix[-1]).is_file()


def ensure_package(arch: str) -> list[str]:
    """Return the command prefix of Debian's own MicroPython, unpacking it at the first call.

    Raises:
        InstallError: it cannot be unpacked; the message names the remedy.
    """
    root = cache_folder() / "micropython" / arch
    if not is_complete(root, arch):
        with alone(root):
            if not is_complete(root, arch):
                unpack(root, arch, ("micropython",))
    return command_prefix(root, arch)


def ensure_micropython(kind: str) -> list[str]:
    """Return the command prefix of an interpreter, fetched or built at the first call.

    Raises:
        InstallError: it cannot be had; the message names the remedy.
    """
    if kind == "esp8266-model":
        program = ensure_model(ESP8266_MODEL)
        loader = program.with_name("ld-linux.so.2")
        return [str(loader), "--library-path", str(program.parent), str(program)]
    if kind == "cortex-m3":
        return [*ensure_qemu(), *MACHINE, "-kernel", str(ensure_model(CORTEX_M3))]
    return ensure_package(kind)


def main() -> int:
    """Fetch or build if necessary and print the command prefix."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arch", choices=KINDS, default="amd64")
    options = parser.parse_args()
    try:
        print(shlex.join(ensure_micropython(options.arch)))
    except InstallError as error:
        print(f"install.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
