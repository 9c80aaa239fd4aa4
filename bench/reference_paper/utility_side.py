"""The utility of all meters: openleadr's VTN as a process in a namespace, with mutual TLS.

Neighbours: `twin/tests/openadr2/openleadr_vtn.py` (the process), `lane` (meters with a VEN).
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from meter_pki.authority import Authority
from meter_pki.identities import Identity
from network import Place
from processes import wait_for

SCRIPT = Path(__file__).parents[2] / "twin/tests/openadr2/openleadr_vtn.py"
PORT = 8444
POLL_S = 1
"""The shortest pause between polls that the VTN can ask for."""


class UtilitySide:
    """A VTN, and the CA of those who may speak with it."""

    def __init__(self, place: Place, folder: Path) -> None:
        """Start it and wait until it serves."""
        self._folder = folder
        folder.mkdir()
        self._authority = Authority.create(datetime.now(UTC), "utility")
        self.url = f"https://{place.there}:{PORT}/OpenADR2/Simple/2.0b"
        self.told: list[tuple[float, dict[str, Any]]] = []
        self.issue(folder, Identity("vtn", dns=(place.there,), server=True))
        settings = {
            "host": place.there,
            "port": PORT,
            "poll_s": POLL_S,
            "cert": str(folder / "tls.crt"),
            "key": str(folder / "tls.key"),
            "ca_file": str(folder / "ca.crt"),
        }
        command: Sequence[str] = [sys.executable, str(SCRIPT), json.dumps(settings)]
        with (folder / "vtn.log").open("wb") as log:
            self._process = subprocess.Popen(
                place.command(command),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._lock = threading.Lock()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        wait_for(lambda: self.find("ready", True), "the VTN serves")

    def issue(self, folder: Path, identity: Identity) -> None:
        """Write ca.crt, tls.crt and tls.key of somebody that the utility knows."""
        bundle = self._authority.issue(identity, datetime.now(UTC))
        (folder / "ca.crt").write_bytes(self._authority.certificate_pem)
        (folder / "tls.crt").write_bytes(bundle.certificate)
        (folder / "tls.key").write_bytes(bundle.key)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                self.told.append((time.time(), json.loads(line)))

    def say(self, **command: object) -> None:
        """Tell the VTN what to do."""
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()

    def find(self, kind: str, wanted: object) -> float | None:
        """Return when the VTN told something, None if it did not yet."""
        return next((at for at, one in list(self.told) if one.get(kind) == wanted), None)

    def close(self) -> None:
        """End the VTN."""
        self._process.kill()
        self._process.wait()
        self._listener.join(5)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
