"""What a person sees: aligned columns, ages, numbers with units. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from meter_wire.obis import find_register, parse_code

from kubectl_meter.errors import WrongUsage

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_CLOCK = "0-0:1.0.0*255"
# What a person looks for first: energy in and out, power, voltage.
_MAIN = ("1-0:1.8.0*255", "1-0:2.8.0*255", "1-0:16.7.0*255", "1-0:32.7.0*255")
_RIGHT = {"VALUE", "SEQ", "EPOCH"}


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return aligned columns; values, numbers and registers (`1-0:…`) stand right."""
    cells = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    right = [name in _RIGHT or ":" in name for name in head]
    lines = []
    for row in [list(head), *cells]:
        padded = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        lines.append("   ".join(padded).rstrip())
    return "\n".join(lines)


def format_value(value: Any) -> str:
    """Return a value as text; whole numbers with thin groups of three."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", " ")
    return "" if value is None else str(value)


def format_age(seconds: float) -> str:
    """Return an age in its largest unit, as kubectl does."""
    whole = int(seconds)
    for length, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if whole >= length:
            return f"{whole // length}{unit}"
    return f"{whole}s"


def register_name(code: str) -> str:
    """Return the name of a register, empty for one that we do not know."""
    try:
        known = find_register(parse_code(code))
    except ValueError:
        return ""
    return known.name if known else ""


def registers_table(document: dict[str, Any]) -> str:
    """Return the answer of `/v1/registers`: a line about its source, and the registers.

    The demand maximum was reached at a time of its own: the last column, if any register has one.
    """
    if document.get("source") == "metered":
        source = "asked from the meter now"
    else:
        age_s = document.get("age_seconds")
        source = "cached" if age_s is None else f"cached, {format_age(age_s)} old"
    taken = document.get("time") or "at an unknown time"
    status = ", ".join(document.get("status", [])) or "valid"
    line = f"{document['device']}   {taken}   {source}   status: {status}"
    registers = document["registers"].items()
    head = ["REGISTER", "VALUE", "UNIT", "NAME"]
    rows = [[code, *format_register(code, item), register_name(code)] for code, item in registers]
    if any(item.get("time") for _, item in registers):
        head.append("TIME")
        for row, (_, item) in zip(rows, registers, strict=True):
            row.append(item.get("time") or "")
    return f"{line}\n\n{format_table(head, rows)}"


def format_register(code: str, item: dict[str, Any]) -> tuple[str, str]:
    """Return value and unit as text; the clock, seconds since 1970, as a time."""
    value = item["value"]
    if code == _CLOCK and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), ""
    return format_value(value), item.get("unit") or ""


def check_codes(codes: Iterable[str]) -> None:
    """Refuse what is no register.

    Raises:
        WrongUsage: a code is no full OBIS code.
    """
    for code in codes:
        try:
            parse_code(code)
        except ValueError as error:
            raise WrongUsage(
                f"{code!r} is no full OBIS code",
                field="--code",
                remedy="write A-B:C.D.E*F, for example 1-0:1.8.0*255",
            ) from error


def only_registers(reading: dict[str, Any], codes: Sequence[str]) -> dict[str, Any]:
    """Return a reading with the wanted registers alone; all of them if none is named."""
    if not codes:
        return reading
    kept = {code: item for code, item in reading.get("registers", {}).items() if code in codes}
    return {**reading, "registers": kept}


def readings_table(readings: Sequence[dict[str, Any]], *, wide: bool) -> str:
    """Return readings, one a line, with the main registers or with all that any of them has."""
    codes = _codes(readings)
    if not wide:
        codes = [code for code in _MAIN if code in codes] or codes
    columns = _columns(readings, codes)
    head = ("TIME", "SEQ", *(column.title for column in columns), "STATUS")
    rows = [
        (
            reading["time"] or "",
            str(reading["seq"]),
            *(format_value(column.pick(reading)) for column in columns),
            ",".join(reading["status"]),
        )
        for reading in readings
    ]
    return format_table(head, rows)


def readings_csv(readings: Sequence[dict[str, Any]]) -> str:
    """Return readings as CSV (RFC 4180): identity, time, status and one column a register.

    A register with a time of its own, such as the demand maximum, has a second column for it.
    """
    columns = _columns(readings, _codes(readings), units=True)
    out = io.StringIO()
    writer = csv.writer(out)
    titles = [column.title for column in columns]
    writer.writerow(["incarnation", "seq", "time", "status", *titles])
    for reading in readings:
        values = [column.pick(reading) for column in columns]
        identity = [reading["incarnation"], reading["seq"], reading["time"]]
        writer.writerow([*identity, " ".join(reading["status"]), *values])
    return out.getvalue()


def events_table(events: Sequence[dict[str, Any]]) -> str:
    """Return events, one a line."""
    rows = [
        (
            event["time"] or "",
            str(event["seq"]),
            event["code"],
            " ".join(f"{key}={value}" for key, value in event.get("arguments", {}).items()),
            ",".join(event["status"]),
        )
        for event in events
    ]
    return format_table(("TIME", "SEQ", "EVENT", "ARGUMENTS", "STATUS"), rows)


class _Column(NamedTuple):
    """A part of a register, `value` or `time`, and what stands above it."""

    title: str
    code: str
    part: str

    def pick(self, reading: dict[str, Any]) -> Any:
        """Return what a reading says of it, None if nothing."""
        return reading.get("registers", {}).get(self.code, {}).get(self.part)


def _codes(readings: Sequence[dict[str, Any]]) -> list[str]:
    found: dict[str, None] = {}
    for reading in readings:
        found.update(dict.fromkeys(reading.get("registers", {})))
    return list(found)


def _columns(
    readings: Sequence[dict[str, Any]], codes: Sequence[str], *, units: bool = False
) -> list[_Column]:
    """Return one column a register, and one for its own time if any reading has that."""
    columns = []
    for code in codes:
        items = [one["registers"][code] for one in readings if code in one.get("registers", {})]
        unit = items[0].get("unit") if units and items else None
        columns.append(_Column(f"{code} [{unit}]" if unit else code, code, "value"))
        if any(item.get("time") for item in items):
            columns.append(_Column(f"{code} time", code, "time"))
    return columns
