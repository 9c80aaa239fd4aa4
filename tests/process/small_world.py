"""The same world with a meter of an ESP8266: the small profile on the model of its Python and heap.

It comes to the port without TLS with a password, as to the chart's constrained listener, and writes
the same log for the oracle. So a fault test runs for both builds as it stands (`both_builds`).
Neighbour: `harness`.
"""

import pathlib
import subprocess
import sys
from typing import Any

import pytest
from broker_configuration import PASSWORDS, add_password
from harness import DEVICE, MICROPYTHON, ROOT, World
from loopback import free_port
from processes import Process

HEAP_BYTES = 38 * 1024
ARCH = "esp8266-model"
PASSWORD = "0123456789abcdef0123456789abcdef"
SEGMENT_BYTES = 704
"""The least that `segments` takes."""
SMALLER = 7
"""An entry takes a seventh of a whole meter's, so its ring does too."""


class SmallWorld(World):
    """The meter is a process of the small profile; see `harness.World` for the rest."""

    more_than_a_ring = 65

    def __init__(self, folder: pathlib.Path) -> None:
        self.plain_port = free_port()
        super().__init__(folder)

    @property
    def meter_broker(self) -> str:
        """What owner records name: where the meter is already."""
        return f"127.0.0.1:{self.plain_port}"

    def configure_broker(self, *, plain_port: int = 0, **options: Any) -> None:
        """See `World`; the port without TLS is always there."""
        if not (self.folder / PASSWORDS).exists():
            add_password(self.folder, DEVICE, PASSWORD)
        super().configure_broker(plain_port=plain_port or self.plain_port, **options)

    def make_firmware(self, arch: str = ARCH, **changes: Any) -> Process:
        """Build its image and write `meter.json`; keys that a small meter has not are left out."""
        folder = self.folder / "meter"
        folder.mkdir()
        build = [sys.executable, str(ROOT / "firmware/build_firmware.py"), "--process", str(folder)]
        subprocess.run(build, check=True)
        login = {"user": DEVICE, "password": PASSWORD}
        self.meter_json = {
            "device": DEVICE,
            "key": self.k_meter.hex(),
            "broker": {"host": "127.0.0.1", "port": self.plain_port, **login},
            "capture_period_s": 1,
            "ring_bytes": 262144 // SMALLER,
            "state_dir": str(folder / "state"),
            "oracle_log": str(folder / "oracle.log"),
        }
        command = [str(MICROPYTHON), "--arch", arch, "-X", f"heapsize={HEAP_BYTES}"]
        command += [str(folder / "main.py"), str(folder / "meter.json")]
        self.firmware = Process("firmware", command, self.folder, self.environment())
        self.configure_meter(**changes)
        return self.firmware

    def configure_meter(self, **changes: Any) -> None:
        """See `World`; a ring is for as many entries as the whole meter's."""
        if "ring_bytes" in changes:
            least = SEGMENT_BYTES * changes.get("ring_segments", 8)
            changes["ring_bytes"] = max(changes["ring_bytes"] // SMALLER, least)
        super().configure_meter(**changes)

    def close(self) -> None:
        """End every process; its heap was enough."""
        super().close()
        assert self._firmware is None or "MemoryError" not in self._firmware.log


BUILDS: dict[str, type[World]] = {"whole": World, "esp8266": SmallWorld}
both_builds = pytest.mark.parametrize("world", BUILDS, indirect=True)
"""A test whose rule both builds keep."""
both_builds_at_night = pytest.mark.parametrize(
    "world", ["whole", pytest.param("esp8266", marks=pytest.mark.slow)], indirect=True
)
"""The same; that of the ESP8266 is in `make nightly` alone, because of its time."""
