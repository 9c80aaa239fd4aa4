"""One meter and its twin: real processes, with the meter in a namespace of its own.

Broker, twin and operator's part are those of tests/process; firmware and the home's EMS run at the
other end of the meter's link. Neighbours: `network` (the places), `utility_side` (its utility),
`services` (what is asked of it).
"""

import base64
import http.client
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import DEVICE, NAMESPACE, Twin, World
from meter_pki.identities import Identity, reader_identity, twin_identity
from network import Place
from processes import Process, connects, wait_for
from utility_side import UtilitySide

READER, HOME, OTHER_DEVICE = "bench", "home", "house-2"
ECHO = Path(__file__).parent / "ems_echo.py"
PRICE_EAR = Path(__file__).parent / "price_ear.py"
KEEP_ALIVE_S = 60
MOST_EVENTS_A_DAY = 48


class Lane(World):
    """A world whose meter is somewhere else."""

    listen_on = "0.0.0.0"
    """All addresses of this namespace, which has no way out."""

    def __init__(
        self, folder: Path, number: int, place: Place, utility: UtilitySide, period_s: int
    ) -> None:
        """Provision everything; `period_s` between two readings."""
        self.number = number
        self._place = place
        self._utility = utility
        self.period_s = period_s
        self.broker_name = place.here
        self.peer_port = 0
        folder.mkdir()
        super().__init__(folder)
        self.echo = Process(
            "ems", place.command([sys.executable, str(ECHO), str(self.ems_port)]), folder
        )
        home = reader_identity(HOME)
        hears = [sys.executable, str(PRICE_EAR), DEVICE, f"{place.here}:{self.port}"]
        hears += [home.common_name, str(folder / "home")]
        self.price_ear = Process("price-ear", place.command(hears), folder)
        self._issue_reader("home", home)
        self._issue_reader("reader", reader_identity(READER))
        self._issue_reader("peer", twin_identity(OTHER_DEVICE, 1, NAMESPACE))
        self.twin_settings = {
            "capturePeriodSeconds": period_s,
            "applications": {
                "metering-data": {},
                "demand-response": {"mostEventsADay": MOST_EVENTS_A_DAY, "mostMinutesADay": 1440},
                "pricing": {"edgeSpreadSeconds": 0},
            },
            "ems": {"name": HOME},
            "dataPolicy": {
                "resolutionSeconds": period_s,
                "recipients": [{"name": READER, "publicKey": "00" * 32}],
            },
            "utility": {"name": "utility", "venName": self.ven_name},
        }

    @property
    def ven_name(self) -> str:
        """Who the meter is to the utility."""
        return f"{DEVICE}-{self.number}"

    def _issue_reader(self, name: str, identity: Identity) -> None:
        folder = self.folder / name
        folder.mkdir()
        bundle = self.authority.issue(identity, datetime.now(UTC))
        (folder / "ca.crt").write_bytes(self.authority.certificate_pem)
        (folder / "tls.crt").write_bytes(bundle.certificate)
        (folder / "tls.key").write_bytes(bundle.key)

    def make_twin(self, epoch: int, epoch_id: bytes) -> Twin:
        """Give the twin its credential at the utility, too."""
        twin = super().make_twin(epoch, epoch_id)
        folder = self.folder / "ven"
        folder.mkdir(exist_ok=True)
        self._utility.issue(folder, Identity(self.ven_name))
        address = {"protocol": "openadr-2.0b", "url": self._utility.url}
        (folder / "utility.json").write_text(json.dumps(address))
        document = json.loads(twin.environment["METERTWIN_CONFIG"])
        document["paths"]["utility"] = str(folder)
        self.peer_port = document["ports"]["peer"]
        twin.environment["METERTWIN_CONFIG"] = json.dumps(document)
        return twin

    def make_firmware(self, arch: str = "amd64", **changes: Any) -> Process:
        """Put the meter at the other end of its link."""
        broker = {"host": self._place.here, "port": self.port, "keep_alive_s": KEEP_ALIVE_S}
        wanted = {"broker": broker, "capture_period_s": self.period_s, "oracle_log": None}
        process = super().make_firmware(arch, **(wanted | changes))
        process.command = self._place.command(process.command)
        return process

    def begin(self) -> None:
        """Start all processes and wait until the twin may forward to the EMS, which answers."""
        self.start()
        self.echo.start()
        wait_for(lambda: connects(self.twin.local), "the twin listens")
        wait_for(lambda: LocalApi(self).forward(b"hello", 10), "the EMS answers", 180, 1)
        wait_for(
            lambda: self._utility.find("registered", self.ven_name), "the VEN is registered", 120
        )
        self.price_ear.start()
        wait_for(lambda: '"listens"' in self.price_ear.log, "the home hears the broker")

    def close(self) -> None:
        """End every process."""
        self.echo.kill()
        self.price_ear.kill()
        super().close()


class LocalApi:
    """The twin's API on loopback over one open connection; seconds, None for what was lost."""

    def __init__(self, lane: Lane) -> None:
        """Connect at the first question."""
        self._connection = http.client.HTTPConnection("127.0.0.1", lane.twin.local, timeout=60)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any, float]:
        """Return status, document and the seconds it took."""
        content = json.dumps(body).encode() if body is not None else None
        begun = time.monotonic()
        self._connection.request(method, path, content)
        answer = self._connection.getresponse()
        document = json.loads(answer.read())
        return answer.status, document, time.monotonic() - begun

    def forward(self, data: bytes, ttl_s: int) -> float | None:
        """Return the round trip of octets to the EMS and back."""
        text = base64.b64encode(data).decode()
        body = {"data": text, "ttl_seconds": ttl_s}
        status, document, seconds = self.ask("POST", "/v1/forward", body)
        is_back = status == http.client.OK and document == {"code": "delivered", "data": text}
        return seconds if is_back else None

    def read_live(self, timeout_s: int) -> float | None:
        """Return how long it took to have registers that were asked from the meter."""
        path = f"/v1/registers?live=1&timeout={timeout_s}"
        status, document, seconds = self.ask("GET", path)
        return seconds if status == http.client.OK and document["live"] == "ok" else None

    def limit_load(self, watts: int) -> float | None:
        """Return how long it took until the meter had acknowledged a limit of its load."""
        body = {"load": 0, "limit_w": watts, "seconds": 60}
        status, _, seconds = self.ask("POST", "/v1/load", body)
        return seconds if status == http.client.OK else None

    def find_marks(self) -> dict[str, int]:
        """Return per incarnation up to which number everything is stored."""
        _, document, _ = self.ask("GET", "/v1/status")
        return {one["incarnation"]: one["stored"] for one in document["marks"]}

    def list_readings(self) -> dict[tuple[str, int], int]:
        """Return the UTC seconds of all stored readings by incarnation and number."""
        found: dict[tuple[str, int], int] = {}
        after = ""
        while True:
            _, document, _ = self.ask("GET", f"/v1/readings?limit=10000{after}")
            for one in document["readings"]:
                if one["time"] is not None:
                    moment = datetime.fromisoformat(one["time"])
                    found[one["incarnation"], one["seq"]] = int(moment.timestamp())
            if document["next"] is None:
                return found
            after = f"&after={document['next']}"
