"""What the twin says about itself: readiness, state document, metrics, status and identity.

Reads only; neighbours: `shell` (owner of what is looked at), `health`, `api`, `twin_state`.
"""

import resource
import time
from collections import Counter
from typing import Any

from meter_wire.word import Word, sign_word

from . import __version__
from .configuration import Configuration
from .credentials import Credentials
from .handover import Handover
from .health import Series
from .link_loop import LinkLoop
from .load_control import LoadControl
from .meter_settings import MeterSettings
from .mqtt_shell import MqttShell
from .owner_gate import OwnerGate
from .presentation import format_time
from .store import Store
from .store_keeper import StoreKeeper
from .twin_state import MeterContact, build_state, silence_after_s


def now_ms() -> int:
    """Return the monotonic time that also counts while the node sleeps (leases, deadlines)."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Status:
    """One view of a running twin; `broker` and `credentials` are set when there are some."""

    def __init__(
        self,
        configuration: Configuration,
        store: Store,
        gate: OwnerGate,
        loop: LinkLoop,
        keeper: StoreKeeper,
        handover: Handover,
    ) -> None:
        """Look at these."""
        self._handover = handover
        self._configuration = configuration
        self._store = store
        self._gate = gate
        self._loop = loop
        self._keeper = keeper
        self.settings = MeterSettings(
            loop, self.may_command, configuration.capture_period_s, configuration.report_spread_s
        )
        self.loads = LoadControl(loop, store, gate, self.may_command)
        self.broker: MqttShell | None = None
        self.credentials: Credentials | None = None
        self.speaking: Any = None
        """The `UtilityLoop`, whose type would load it."""
        self.archive: Any = None
        """The `ArchiveLine`, likewise; None without an archive."""
        self.peer_refused: tuple[Counter[str], ...] = ()
        self.was_connected = False

    @property
    def is_connected(self) -> bool:
        """Whether a session with the broker is up."""
        return self.broker is not None and self.broker.connected.is_set()

    def state(self, *, online: bool = True) -> dict[str, Any]:
        """Return the document of the retained `state` topic."""
        return build_state(
            epoch=self._configuration.epoch,
            store_id=self._store.store_id,
            version=__version__,
            contact=self._contact(),
            ready=online and not self.unready(),
            order=(self._gate.memory.term, self._gate.memory.counter),
            now_s=int(time.time()),
            online=online,
            handover=self._word() if online else None,
            standing=self.speaking.standing if self.speaking is not None and online else None,
            stopped=online and self._gate.memory.stopped,
        )

    def _word(self) -> Word:
        """Return what this twin says about a handover."""
        return self._handover.word(joined=self._loop.link.is_open, waits=self._gate.waits(now_ms()))

    def sign(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the state as it is sent: the word with its MAC.

        Only what is sent is signed: the state is made again and again and, as a rule, is the same.
        """
        word: Word = document["handover"]
        signed = sign_word(word, self._configuration.epoch, self._configuration.keys.ctl)
        return {**document, "handover": signed}

    def is_meter_connected(self) -> bool:
        """Return whether the meter has spoken lately."""
        return self._contact().describe(int(time.time())) == "connected"

    def _contact(self) -> MeterContact:
        configuration = self._configuration
        return MeterContact(
            self._loop.last_heard_s,
            silence_after_s(configuration.capture_period_s, configuration.report_spread_s),
        )

    def unready(self) -> str:
        """Return why the twin is not ready, empty if it is.

        A broker that goes away later does not make it unready: it would flip a whole fleet.
        """
        if self._loop.store_fault:
            return f"store {self._loop.store_fault}"
        if not self.was_connected:
            return "no broker session yet"
        return "" if self._gate.is_active else f"owner gate is {self._gate.label}"

    def has_authority(self) -> bool:
        """Return whether this epoch may act on third parties now."""
        return self._gate.has_authority(now_ms(), connected=self.is_connected)

    def may_command(self) -> bool:
        """Return whether this epoch may tell the meter something now."""
        return self._gate.may_command(now_ms(), connected=self.is_connected)

    def series(self) -> Series:
        """Return the metrics, at most ten, none of them a register value."""
        loop = self._loop
        figures = loop.figures
        conflicts = self._store.find_property("conflicts") or 0
        refused = sum(loop.link.refused.values())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return [
            ("epoch", "gauge", "the epoch of this twin", self._configuration.epoch),
            ("ready", "gauge", "1 if ready", int(not self.unready())),
            ("broker_connected", "gauge", "1 with a session", int(self.is_connected)),
            ("meter_heard_seconds", "gauge", "UTC of the last frame", loop.last_heard_s or 0),
            ("entries_stored_total", "counter", "since the start", figures.entries_stored),
            ("commits_total", "counter", "since the start", figures.commits),
            ("frames_refused_total", "counter", "since the start", refused),
            ("conflicts_total", "counter", "entries in quarantine, ever", conflicts),
            ("store_failures_total", "counter", "commits that failed", figures.store_failures),
            ("memory_peak_bytes", "gauge", "highest resident set", memory),
        ]

    def describe(self) -> dict[str, Any]:
        """Return the process's part of `/v1/status`."""
        contact = self._contact()
        return {
            "epoch": self._configuration.epoch,
            "broker": self.is_connected,
            "gate": self._gate.label,
            "gateRefused": dict(self._gate.refused),
            "authority": self.has_authority(),
            "ready": not self.unready(),
            "meter": contact.describe(int(time.time())),
            "lastSeen": format_time(contact.last_s),
            "term": self._gate.memory.term,
            **self._keeper.describe(),
            "archive": self.archive.describe() if self.archive is not None else None,
            "settings": self.settings.describe(),
            "loadControl": self.loads.describe(),
            "certificate": self.credentials.describe() if self.credentials else None,
            "peerRefused": dict(sum(self.peer_refused, Counter())),
        }

    def identity(self) -> dict[str, object]:
        """Return who this is, for an authenticated peer."""
        return {
            "device": self._configuration.device,
            "epoch": self._configuration.epoch,
            "store": self._store.store_id.hex(),
            "version": __version__,
        }
