"""Forms of what the archive answers: of one meter, of many, and of powers. Pure.

`flatten` makes one list of rows of each; tables, CSV and pictures are made of these. Neighbours:
`cli_history`, `plotting`.
"""

import csv
import io
from typing import Any, Literal, NamedTuple

from kubectl_meter.tables import format_table, format_value

Json = dict[str, Any]
_COLUMNS = [
    "device", "start", "end", "value", "unit", "quality", "readings", "expected", "note",
]  # fmt: skip
Kind = Literal["history", "totals", "demand"]


class Row(NamedTuple):
    """A bucket. `value` is in the register's unit, None if it is missing; `note` says why."""

    device: str
    start: str
    end: str
    value: float | None
    quality: str
    known: int
    expected: int
    note: str


def flatten(kind: Kind, document: Json) -> list[Row]:
    """Return all buckets of an answer, in its order."""
    if kind == "totals":
        return [_total(document, one) for one in document["buckets"]]
    make = _demand if kind == "demand" else _bucket
    return [
        make(document, device["device"], one)
        for device in document["devices"]
        for one in device["buckets"]
    ]


def _bucket(document: Json, device: str, one: Json) -> Row:
    value = _scale(document, one.get("value", one.get("mean")))
    notes = [one["reason"].replace("_", " ")] if one.get("reason") else []
    notes += _lacking(one["readings"], one["expected"])
    return Row(
        device, one["start"], one["end"], value, one.get("quality", ""), one["readings"],
        one["expected"], ", ".join([*notes, *one["flags"]]),
    )  # fmt: skip


def _total(document: Json, one: Json) -> Row:
    notes = _lacking(one["known"], one["expected"], "meters ")
    if one["estimated"]:
        notes.append(f"{one['estimated']} estimated")
    return Row(
        "", one["start"], one["end"], _scale(document, one["value"]), one["quality"], one["known"],
        one["expected"], ", ".join(notes),
    )  # fmt: skip


def _demand(document: Json, device: str, one: Json) -> Row:
    notes = [f"at {one['at']}"] if one["at"] else []
    notes += _lacking(one["known"], one["periods"], "quarter hours ")
    quality = "missing" if one["power"] is None else "metered"
    return Row(
        device, one["start"], one["end"], _scale(document, one["power"]), quality, one["known"],
        one["periods"], ", ".join(notes),
    )  # fmt: skip


def _scale(document: Json, value: int | None) -> float | None:
    scaler = document["scaler"]
    return value if value is None or scaler == 0 else round(value * 10.0**scaler, -scaler)


def _lacking(there: int, expected: int, what: str = "") -> list[str]:
    return [f"{expected - there} of {expected} {what}missing"] if there < expected else []


def build_table(document: Json, rows: list[Row]) -> str:
    """Return rows as a table; sums of many have no device."""
    head: tuple[str, ...] = ("FROM", "TO", "DEVICE", "VALUE", "QUALITY", "NOTE")
    cells: list[tuple[str, ...]] = [
        (one.start, one.end, one.device, _text(document, one), one.quality, one.note)
        for one in rows
    ]
    if not any(one.device for one in rows):
        head = (*head[:2], *head[3:])
        cells = [(*row[:2], *row[3:]) for row in cells]
    return format_table(head, cells)


def _text(document: Json, row: Row) -> str:
    return "-" if row.value is None else f"{format_value(row.value)} {document['unit']}".strip()


def build_csv(document: Json, rows: list[Row]) -> str:
    """Return rows as CSV (RFC 4180); an empty value is missing."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        ["device", "start", "end", "value", "unit", "quality", "readings", "expected", "note"]
    )
    for one in rows:
        value = "" if one.value is None else one.value
        writer.writerow(
            [one.device, one.start, one.end, value, document["unit"], one.quality, one.known,
             one.expected, one.note]
        )  # fmt: skip
    return out.getvalue()
