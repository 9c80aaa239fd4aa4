"""What must hold in a simulated world, asked at the moment when it happens.

- *Authority*: never two twins that would act on a third party at the same moment. It is asked
  whenever any of them acts, hears its operator, or changes its word. An act is one moment here: a
  service whose acts take time has to end them before its twin says that it is frozen.
- *Epochs do not fall*: those that act, and those whose forwarded orders reach the EMS port through
  the meter, with all the delays of the network.
- *Decisions*: counter and epochs of status only rise, an epoch has one id, one that was given up
  never becomes active, `status.handovers` agrees; but where a fault puts an older status back.
- *Secrets*: no key of any epoch, no key of the meter and no private key in a message, in an answer
  of a twin or in an object of the API server other than the Secret of that very epoch.
- *Entries*: see `Ledger`. At the end `World.problems` has to be empty.
"""

import base64
import json
from collections.abc import Iterable
from typing import Any, Protocol

from meter_operator.desired import Json

from .ledger import Ledger
from .scheduler import Scheduler

RESULTS = {"Done", "Lost", "Superseded", "Aborted", "TakenOver"}
KEPT = 5
IN_SECRETS = -1
"""Stands for the epoch of what may be in any Secret: here all twins have one certificate."""


class Broken(AssertionError):  # noqa: N818 - reads as a sentence
    """Something that must hold does not."""


class Actor(Protocol):
    """What is asked of a twin."""

    epoch: int
    epoch_id: bytes

    @property
    def has_authority(self) -> bool: ...


class Oracle:
    """One per world; what is broken ends the world."""

    def __init__(self, scheduler: Scheduler, ledger: Ledger) -> None:
        self.scheduler, self.ledger = scheduler, ledger
        self.status: Json = {}
        self.restored = self.was_restored = False
        """A fault puts an older status back: the next one may be anything."""
        self._highest_act = self._highest_forward = 0
        self._ids: dict[int, bytes] = {}
        self._burned: set[str] = set()
        self._secrets: dict[bytes, int] = {}
        self._spelled: dict[bytes, int] = {}

    def fail(self, text: str) -> None:
        if self.scheduler.broken is None:
            self.scheduler.broken = Broken(text)

    # ---- who acts

    def look(self, twins: Iterable[Actor]) -> None:
        """Ask who has authority now."""
        acting = [twin.epoch for twin in twins if twin.has_authority]
        if len(acting) > 1:
            self.fail(f"epochs {acting} have authority at the same moment")
        for epoch in acting:
            if epoch < self._highest_act:
                self.fail(f"epoch {epoch} acts after epoch {self._highest_act}")
            self._highest_act = max(self._highest_act, epoch)

    def forwarded(self, epoch: int) -> None:
        """Take an order that has reached the EMS."""
        if epoch < self._highest_forward:
            self.fail(f"the EMS hears epoch {epoch} after epoch {self._highest_forward}")
        self._highest_forward = max(self._highest_forward, epoch)

    # ---- decisions

    def seen(self, kind: str, body: Json) -> None:
        """Look at an object as the API server has it now."""
        if kind == "secrets":
            self._learn(body)
        elif kind != "events":
            self.said(f"{kind}/{body['metadata']['name']}", json.dumps(body).encode())
        if kind == "smartmeters":
            before, self.status = self.status, body.get("status") or {}
            if self.restored:
                self.was_restored = True
            else:
                self._compare(before, self.status)
            self.restored = False
            self._check_rows(self.status)

    def _compare(self, before: Json, after: Json) -> None:
        for name in ("epoch", "highestEpoch", "ownerCounter"):
            if int(after.get(name, 0)) < int(before.get(name, 0)):
                self.fail(f"status.{name} falls from {before[name]} to {after.get(name)}")
        names = ("epoch", "epochId", "highestEpoch", "handover", "previousEpochs")
        told = {name: before.get(name) for name in names} != {n: after.get(n) for n in names}
        was = before.get("handover") or {}
        if was and not after.get("handover") and was["epochId"] != after.get("epochId"):
            self._burned.add(was["epochId"])
        if after.get("epochId") in self._burned and not self.was_restored:
            self.fail(f"epoch {after.get('epoch')} was given up, and is active")
        if told:
            handover = after.get("handover") or {}
            shown = f"epoch {after.get('epoch')}, {handover.get('phase', 'no handover')}"
            shown += f" to {handover['epoch']}" if handover else ""
            self.scheduler.tell(f"status: {shown}, counter {after.get('ownerCounter')}")

    def _check_rows(self, status: Json) -> None:
        """Check that what status tells of handovers agrees with itself and with the past."""
        rows: list[Any] = status.get("handovers") or []
        handover = status.get("handover") or {}
        targets = ([handover["epoch"]] if handover else []) + [row["to"] for row in rows]
        if len(rows) > KEPT or {row["result"] for row in rows} - RESULTS:
            self.fail(f"status.handovers: {rows}")
        if targets != sorted(set(targets), reverse=True):
            self.fail(f"status.handovers is not in the order of its epochs: {targets}")
        if any(row["from"] >= row["to"] for row in rows):
            self.fail(f"status.handovers: from a higher epoch: {rows}")
        previous = {row["epoch"] for row in status.get("previousEpochs") or []}
        if status.get("epoch") in previous:
            self.fail(f"epoch {status['epoch']} is active and retired")
        for row in rows:
            if row["result"] == "Aborted" and row["to"] == status.get("epoch"):
                self.fail(f"epoch {row['to']} is active, and was given up")
            if row["result"] in {"Done", "Lost", "Superseded"} and row["to"] > status.get(
                "epoch", 0
            ):
                self.fail(f"epoch {row['to']} has taken over, {status.get('epoch')} is active")

    def started(self, twin: Actor) -> None:
        """Note a twin's identity: others may have heard of it."""
        self.named(twin.epoch, twin.epoch_id)

    def named(self, epoch: int, epoch_id: bytes) -> None:
        """Note that an epoch has this id: a twin runs with it, or the meter has stored it.

        Where status was put back, those who know better may be away when the next epoch is made.
        """
        if self._ids.setdefault(epoch, epoch_id) != epoch_id and not self.was_restored:
            self.fail(f"epoch {epoch} has two ids")

    # ---- secrets

    def keep_secret(self, secret: bytes, epoch: int = 0) -> None:
        """Let nobody say this, as bytes, hex or base64; but the Secret of `epoch`."""
        self._secrets[secret] = epoch
        for form in (secret.hex().encode(), base64.b64encode(secret)):
            self._spelled[form] = epoch

    def _learn(self, body: Json) -> None:
        data = {name: base64.b64decode(text) for name, text in body["data"].items()}
        keys = json.loads(data["keys.json"])
        epoch = int(keys["epoch"])
        for name in ("up", "down", "ctl"):
            self.keep_secret(bytes.fromhex(keys[name]), epoch)
        for form, other in (self._secrets | self._spelled).items():
            if other not in {epoch, IN_SECRETS} and any(form in value for value in data.values()):
                self.fail(f"the Secret of epoch {epoch} has a key of epoch {other}")

    def said(self, topic: str, payload: bytes) -> None:
        """Search a message, or an answer: binary ones for the keys, texts for what spells them."""
        is_text = payload[:1] == b"{"
        for form, epoch in (self._spelled if is_text else self._secrets).items():
            if form in payload:
                self.fail(f"a key of epoch {epoch} is in {topic}")
