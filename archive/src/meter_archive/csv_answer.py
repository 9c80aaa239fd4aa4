"""An answer as CSV (RFC 4180): its columns are those of the answer's schema. Pure.

A line is an object of the innermost list, with what stands above it repeated. A text that a
spreadsheet would take for a formula (=, +, -, @) gets an apostrophe before it, because names of
meters and metering points are somebody's words.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from meter_archive.queries import Json

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def build_csv(document: Json, schema: Json, rows: Sequence[str]) -> str:
    """Return the lines of a document, a header first.

    Args:
        document: the answer.
        schema: of the answer.
        rows: names of the lists, each within the other, whose objects are the lines.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    columns = list_columns(schema, rows)
    writer.writerow([name for level in columns for name in level])
    for levels in _walk(document, rows):
        writer.writerow(
            [
                _cell(one.get(name))
                for one, names in zip(levels, columns, strict=True)
                for name in names
            ]
        )
    return out.getvalue()


def list_columns(schema: Json, rows: Sequence[str]) -> list[list[str]]:
    """Return the names of columns, level by level from the outermost."""
    columns = [_plain(schema)]
    for name in rows:
        schema = schema["properties"][name]["items"]
        columns.append(_plain(schema))
    return columns


def _plain(schema: Json) -> list[str]:
    """Return what fits a cell: no objects, and lists of texts or numbers only."""
    return [
        name
        for name, of in schema["properties"].items()
        if of["type"] != "object" and of.get("items", {}).get("type") != "object"
    ]


def _walk(document: Json, rows: Sequence[str]) -> Iterator[tuple[Json, ...]]:
    if not rows:
        yield (document,)
        return
    for one in document[rows[0]]:
        for below in _walk(one, rows[1:]):
            yield (document, *below)


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = " ".join(str(one) for one in value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
