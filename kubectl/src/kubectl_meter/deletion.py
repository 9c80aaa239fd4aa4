"""A SmartMeter whose deletion waits: what it waits for, and the note that its readings are taken.

Pure. The other end is the operator's `deletion`; `kubectl/tests/test_export.py` compares both.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from meter_wire.names import GROUP

from kubectl_meter.errors import MeterError
from kubectl_meter.export import format_time
from kubectl_meter.twin import find_condition

Json = dict[str, Any]
FINALIZER = f"{GROUP}/readings"
ANNOTATION_TAKEN = f"{GROUP}/readings-taken"
ENDED_BY_EXPORT = frozenset(("ReadingsNotTaken", "AnnotationRefused"))
"""Reasons of the condition Deletable that an export does away with."""
CLOCKS_DIFFER = timedelta(seconds=5)
"""A twin corrects its meter's clock by up to three seconds, and nobody's is exact."""


class Deletion(NamedTuple):
    """A deletion that waits: since when, and of which epoch's twin the readings are to be taken."""

    at: datetime
    epoch_id: str

    @property
    def until(self) -> datetime:
        """What a meter stamps with this time or later came after the deletion."""
        return self.at + CLOCKS_DIFFER


def find_deletion(meter: Json) -> Deletion | None:
    """Return the deletion of a SmartMeter that waits, None if it is not deleted or does not wait.

    Raises:
        MeterError: it waits for something else before its readings.
    """
    metadata = meter["metadata"]
    at = metadata.get("deletionTimestamp")
    if not at or FINALIZER not in (metadata.get("finalizers") or []):
        return None
    name, field = metadata["name"], "status.conditions[Deletable]"
    found = find_condition(meter, "Deletable")
    if not found:
        raise MeterError(
            f"the operator has not looked at the deletion of {name} yet", field=field,
            remedy=f"try again in some seconds; kubectl describe meter {name}",
        )  # fmt: skip
    if found["reason"] not in ENDED_BY_EXPORT:
        raise MeterError(
            f"{found['reason']}: {found['message']}", field=field,
            remedy=f"export when this is over: kubectl describe meter {name}",
        )  # fmt: skip
    return Deletion(datetime.fromisoformat(at), str(meter["status"]["epochId"]))


def build_patch(deletion: Deletion, begun: datetime) -> Json:
    """Return the merge patch that notes an export.

    `begun`: by this machine's clock. It began when the deletion was known, so never before it.
    """
    note = f"{deletion.epoch_id} {format_time(max(begun, deletion.at))}"
    return {"metadata": {"annotations": {ANNOTATION_TAKEN: note}}}
