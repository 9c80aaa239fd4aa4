"""Network namespaces around this process's own, and links to them with the delay of a profile.

This process has a network namespace to itself (`measure` sees to that), without any way out of the
machine; it is the host of the twins. Each other place is one more namespace, joined to it by one
link: a veth pair with `tc netem` where the kernel has it, else two TUN devices with `link_emulator`
between them; a link without a profile is a plain veth pair. Neighbour: `link_profile`.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from link_profile import Profile, netem_arguments

EMULATOR = Path(__file__).parent / "link_emulator.py"


class Place(NamedTuple):
    """A namespace: its name, our address on the link to it, and its own."""

    name: str
    here: str
    there: str

    def command(self, command: Sequence[str]) -> list[str]:
        """Return a command that runs there."""
        return [find_program("ip"), "netns", "exec", self.name, *command]


class Network:
    """The namespaces and links of one measurement."""

    def __init__(self) -> None:
        """Look what the kernel can do; there is only loopback yet."""
        self._emulators: list[subprocess.Popen[str]] = []
        self._count = 0
        run("ip", "link", "set", "lo", "up")
        self.has_netem = knows_netem()

    def join(self, name: str, profile: Profile | None) -> Place:
        """Make a namespace with a link to this one."""
        self._count += 1
        number = self._count
        place = Place(name, f"10.77.{number}.1", f"10.77.{number}.2")
        devices = f"here{number}", f"there{number}"
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        if profile is None or self.has_netem:
            run("ip", "link", "add", devices[0], "type", "veth", "peer", "name", devices[1])
        else:
            self._emulate(devices, profile, number)
        run("ip", "link", "set", devices[1], "netns", name)
        _raise([], devices[0], place.here)
        _raise(["-n", name], devices[1], place.there)
        if profile is not None and self.has_netem:
            arguments = netem_arguments(profile)
            run("tc", "qdisc", "add", "dev", devices[0], "root", *arguments)
            run("tc", "-n", name, "qdisc", "add", "dev", devices[1], "root", *arguments)
        return place

    def _emulate(self, devices: tuple[str, str], profile: Profile, seed: int) -> None:
        command = [sys.executable, str(EMULATOR), *devices, json.dumps(profile), str(seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._emulators.append(process)
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the link to {devices[1]} cannot be made")

    def close(self) -> None:
        """End the links; the namespaces end with this process's own."""
        for process in self._emulators:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _raise(where: list[str], device: str, address: str) -> None:
    run("ip", *where, "address", "add", f"{address}/24", "dev", device)
    run("ip", *where, "link", "set", device, "up")


def knows_netem() -> bool:
    """Return whether this kernel has netem."""
    with contextlib.suppress(RuntimeError):
        run("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "0ms")
        run("tc", "qdisc", "del", "dev", "lo", "root")
        return True
    return False


def find_program(name: str) -> str:
    """Return the path of a program of the system.

    Raises:
        RuntimeError: it is missing.
    """
    found = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise RuntimeError(f"{name} is missing: run `make deps`")
    return found


def run(program: str, *arguments: str) -> None:
    """Run a program of the system.

    Raises:
        RuntimeError: it failed; with its own words.
    """
    command = [find_program(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{' '.join([program, *arguments])}: {done.stderr.strip()}")
