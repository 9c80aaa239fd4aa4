"""Runs the kubectl binary, which brings the user's kubeconfig, context and credentials.

The environment variable KUBECTL names another binary. Neighbours: `refusals` (what its messages
mean), `twin` (uses the port-forward).
"""

import contextlib
import json
import os
import re
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, NamedTuple

from kubectl_meter.errors import MeterError
from kubectl_meter.refusals import explain

_FORWARDING = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) ->")
_READY_S = 15


class Cluster(NamedTuple):
    """Where to look: context and namespace as given, None for kubectl's own default."""

    context: str | None = None
    namespace: str | None = None

    def command(self, *arguments: str) -> list[str]:
        """Return a kubectl command line."""
        found = [os.environ.get("KUBECTL", "kubectl")]
        if self.context:
            found.append(f"--context={self.context}")
        if self.namespace:
            found.append(f"--namespace={self.namespace}")
        return [*found, *arguments]

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl and return what it printed.

        Raises:
            MeterError: it is missing or failed; with its own message.
        """
        command = self.command(*arguments)
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        except OSError as error:
            raise _no_kubectl(command[0], error) from None
        if done.returncode != 0:
            raise explain(done.stderr)
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return `kubectl get … -o json`.

        Raises:
            MeterError: not found, not allowed, no cluster.
        """
        document: dict[str, Any] = json.loads(self.run("get", *arguments, "-o", "json"))
        return document

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, or None when there is none."""
        text = self.run("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def create(self, manifest: str) -> bool:
        """Create an object; False when one of its name exists already.

        Raises:
            MeterError: not allowed, no cluster.
        """
        try:
            self.run("create", "-f", "-", text=manifest)
        except MeterError as error:
            if error.message.startswith("(AlreadyExists)"):
                return False
            raise
        return True

    def patch(self, kind: str, name: str, change: dict[str, Any]) -> None:
        """Apply a merge patch.

        Raises:
            MeterError: not found, not allowed, refused, no cluster.
        """
        self.run("patch", kind, name, "--type=merge", "-p", json.dumps(change))

    def find_time(self, kind: str, name: str, change: dict[str, Any]) -> datetime | None:
        """Return the time by the API server's clock, None if it does not tell.

        It stamps who has changed what, also in a dry run of `change`.
        """
        how = ("--type=merge", "--dry-run=server", "-o", "json", "--show-managed-fields")
        try:
            found = json.loads(self.run("patch", kind, name, *how, "-p", json.dumps(change)))
            stamps = [row["time"] for row in found["metadata"]["managedFields"] if "time" in row]
            return max(datetime.fromisoformat(stamp) for stamp in stamps)
        except (MeterError, ValueError, KeyError):
            return None

    def patch_as_read(self, kind: str, name: str, change: dict[str, Any]) -> bool:
        """Apply a patch that names a version; False when the object is not of that any more.

        Raises:
            MeterError: as of `patch`.
        """
        try:
            self.patch(kind, name, change)
        except MeterError as error:
            if error.message.startswith("(Conflict)"):
                return False
            raise
        return True

    @contextlib.contextmanager
    def port_forward(self, pod: str, port: int) -> Iterator[int]:
        """Forward a free local port to a pod's port; yield the local one.

        Raises:
            MeterError: kubectl could not open it.
        """
        command = self.command("port-forward", f"pod/{pod}", f":{port}", "--address=127.0.0.1")
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
            except OSError as error:
                raise _no_kubectl(command[0], error) from None
            with process:
                try:
                    yield _local_port(process, errors, pod)
                finally:
                    process.terminate()


def _no_kubectl(name: str, error: OSError) -> MeterError:
    return MeterError(
        f"cannot run {name}: {error.strerror}",
        field="KUBECTL",
        remedy="install kubectl, or name the binary in the environment variable KUBECTL",
    )


def _local_port(process: subprocess.Popen[bytes], errors: IO[bytes], pod: str) -> int:
    """Wait until kubectl says which port it listens on."""
    assert process.stdout is not None
    end = time.monotonic() + _READY_S
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < end and selector.select(end - time.monotonic()):
            piece = os.read(process.stdout.fileno(), 4096)
            said += piece
            found = _FORWARDING.search(said)
            if found:
                return int(found[1])
            if not piece:
                break
    process.terminate()
    process.wait()
    errors.seek(0)
    reason = explain(errors.read().decode(errors="replace")).message
    raise MeterError(
        f"while opening a port-forward to pod {pod}: {reason}",
        remedy="it needs the right to create pods/portforward (role metertwin-meter-operator)",
    )
