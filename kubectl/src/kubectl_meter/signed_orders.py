"""Files of signed orders, and what a meter's answer to one means. Pure but for the files.

A file is `{"order": base64, "signature": base64}`; what it says is read from the signed bytes
themselves, so nobody can be shown something else than the meter is told.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from meter_wire.portable.tlv import RemoteProtocolError
from meter_wire.utility_calendar import decode_calendar
from meter_wire.utility_order import UtilityOrder, parse_utility_order

from kubectl_meter.errors import MeterError

SUFFIX = ".order.json"
MEANINGS = {
    "ok": "carried out",
    "unsigned": "not signed with the utility's key that the meter has, or it has none; after a "
    "false signature it verifies none for a minute",
    "repeated": "the meter has carried out this order, or one with a higher counter, before",
    "expired": "its time has passed by the meter's clock: sign it again",
    "refused": "it is for another device, or the meter's firmware does not do this",
    "meter_offline": "the meter has no session with its twin: hand it over again later",
    "timeout": "no answer in time, so it may be done: hand it over again, `repeated` says that "
    "it was",
    "twin_busy": "the twin waits for too many answers: hand it over again",
    "unknown": "the meter's firmware does not show its calendar",
}


class SignedOrder(NamedTuple):
    """One file."""

    path: str
    order: bytes
    signature: bytes
    content: UtilityOrder

    def body(self) -> dict[str, str]:
        """Return what the twin takes."""
        return {
            "order": base64.b64encode(self.order).decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }


def describe(order: UtilityOrder) -> str:
    """Return what an order does, in words."""
    if order.calendar is None:
        return order.action
    name = decode_calendar(order.calendar).name
    when = "at once" if not order.activates else f"from {format_seconds(order.activates)}"
    return f"calendar {name} {when}"


def format_seconds(seconds: int) -> str:
    """Return UTC seconds as RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def find_files(paths: Iterable[str]) -> Iterator[Path]:
    """Yield the files of paths; of a folder those whose name ends with `SUFFIX`.

    Raises:
        MeterError: a folder has none.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
            continue
        found = sorted(path.glob(f"*{SUFFIX}"))
        if not found:
            raise MeterError(
                f"{path} holds no *{SUFFIX}", field="PATH", remedy="kubectl meter sign-calendar"
            )
        yield from found


def load_order(path: Path) -> SignedOrder:
    """Return the order of a file.

    Raises:
        MeterError: it cannot be read, or is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        order = base64.b64decode(document["order"], validate=True)
        signature = base64.b64decode(document["signature"], validate=True)
        return SignedOrder(str(path), order, signature, parse_utility_order(order))
    except OSError as error:
        why = str(error.strerror)
    except (ValueError, KeyError, TypeError, binascii.Error, RemoteProtocolError) as error:
        why = f"is no signed order ({type(error).__name__})"
    raise MeterError(
        f"{path}: {why}", field="PATH", remedy="make it with kubectl meter sign-calendar"
    )


def write_order(folder: Path, device: str, order: bytes, signature: bytes) -> Path:
    """Write the file of a device; one that exists is never overwritten.

    Raises:
        MeterError: it exists, or cannot be written.
    """
    path = folder / f"{device}{SUFFIX}"
    body: dict[str, Any] = {
        "order": base64.b64encode(order).decode(),
        "signature": base64.b64encode(signature).decode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(body, indent=1) + "\n")
    except OSError as error:
        raise MeterError(
            f"{path}: {error.strerror}", field="--out", remedy="name another folder"
        ) from None
    return path
