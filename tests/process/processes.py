"""Processes of the tests: started, killed with signal 9, started again; waiting.

Neighbour: `harness`, which knows what they are.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

Answer = TypeVar("Answer")


def wait_for(
    condition: Callable[[], Answer], what: str, timeout_s: float = 120, period_s: float = 0.1
) -> Answer:
    """Wait until `condition()` is true; return what it returned.

    The time is no requirement: it ends a wait that would last for ever.
    """
    end = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout_s} s: {what}, last {result!r}")
        time.sleep(period_s)


def connects(port: int) -> bool:
    """Whether somebody listens on the port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Process:
    """A process that can be started again and again; its output goes to one file."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: pathlib.Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.command = command
        self.log_path = folder / f"{name}.log"
        self.environment = environment or {"PATH": os.environ["PATH"]}
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self) -> None:
        assert not self.runs, self.name
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log
            )
        self.starts += 1

    def kill(self) -> None:
        """kill -9, as a power cut or the out-of-memory killer would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def pid(self) -> int:
        """Its number; another one after each start."""
        assert self.process is not None
        assert self.runs, f"{self.name} has ended:\n{self.log[-2000:]}"
        return self.process.pid

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Let it stand still, as if its network did; what is sent to it waits."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def resident_kib(self) -> int:
        """Return VmRSS."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
