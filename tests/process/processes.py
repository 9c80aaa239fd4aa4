"""Processes of the tests: started, killed with signal 9, started again; ports; waiting.

Neighbour: `harness`, which knows what they are.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time


def free_ports(count):
    """Return so many ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_for(condition, what, timeout_s=30, period_s=0.1):
    """Wait until `condition()` is true; return what it returned."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(period_s)
    raise AssertionError(f"not within {timeout_s} s: {what}")


def connects(port):
    """Whether somebody listens on the port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Process:
    """A process that can be started again and again; its output goes to one file."""

    def __init__(self, name, command, folder, environment=None):
        self.name = name
        self.command = command
        self.log_path = folder / f"{name}.log"
        self.environment = environment or {"PATH": os.environ["PATH"]}
        self.process = None
        self.starts = 0

    @property
    def runs(self):
        return self.process is not None and self.process.poll() is None

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self):
        assert not self.runs, self.name
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log
            )
        self.starts += 1

    def kill(self):
        """kill -9, as a power cut or the out-of-memory killer would."""
        if self.runs:
            self.process.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
