"""Answers what a register did: energy or values in buckets of local time.

Several devices of a metering point are answered one after the other, each for the time that it was
there: no difference is ever taken between two devices. Neighbours: `question`, `readings_table`,
`intervals`.
"""

from datetime import datetime
from typing import Any, NamedTuple

from meter_wire.entries import status_names
from meter_wire.obis import find_register, format_code

from meter_archive.database import Pool
from meter_archive.directory import DEFAULT_CAPTURE_S
from meter_archive.intervals import Bucket, ValueBucket, build_buckets, build_value_buckets
from meter_archive.local_time import format_local, get_zone
from meter_archive.queries import Asked, Json
from meter_archive.query_error import QueryError
from meter_archive.question import Question, find_boundaries, parse_question
from meter_archive.readings_table import fetch_register, find_tenures, find_zone
from meter_archive.scope import Scope, Tenure
from meter_archive.snapshots import Series, build_series, register_kind

MOST_READINGS = 400_000
"""Of a device in one question, which are in memory at once: eleven years of quarter hours."""


class Part(NamedTuple):
    """What one device tells of the question."""

    device: str
    meter: str
    point: str
    series: Series
    buckets: tuple[Bucket, ...] | tuple[ValueBucket, ...]


class History(NamedTuple):
    """An answer: the zone its buckets are of, and the devices, oldest first."""

    zone: str
    parts: tuple[Part, ...]


async def answer_history(pool: Pool, asked: Asked) -> Json:
    """Answer `/v1/history`; see `find_history` for what is raised."""
    question = parse_question(asked.parameters)
    return build_document(question, await find_history(pool, question, asked.now_s, asked.scope))


async def find_history(pool: Pool, question: Question, now_s: int, scope: Scope) -> History:
    """Answer a question as far as a scope allows.

    Raises:
        QueryError: a parameter is wrong.
        LookupError: no such meter, device or metering point is known for that time, or allowed.
        asyncpg.PostgresError, OSError: the database is away.
    """
    async with pool.acquire() as connection:
        zone = question.zone or await find_zone(connection, question.subject, scope)
        boundaries = find_boundaries(question, zone, now_s)
        first_s, last_s = boundaries[0], boundaries[-1]
        tenures = await find_tenures(connection, question.subject, first_s, last_s, scope)
        if not tenures and not (scope.everything and question.subject.kind == "device"):
            raise LookupError(f"{question.subject.kind} {question.subject.value!r}")
        parts = []
        asked: list[Tenure | None] = [*tenures] or [None]
        for tenure in asked:
            device = tenure.installation.device if tenure else question.subject.value
            cut = _cut(boundaries, tenure)
            _check_size(cut, tenure)
            readings = await fetch_register(connection, device, question.register, cut[0], cut[-1])
            parts.append(_build_part(question, device, tenure, cut, build_series(readings)))
    return History(zone, tuple(parts))


def _build_part(
    question: Question, device: str, tenure: Tenure | None, cut: tuple[int, ...], series: Series
) -> Part:
    capture_s = tenure.installation.place.capture_s if tenure else DEFAULT_CAPTURE_S
    build = build_buckets
    if register_kind(question.register) != "cumulative":
        build = build_value_buckets  # type: ignore[assignment]
    meter, point = (
        (tenure.installation.place.meter, tenure.installation.point) if tenure else ("", "")
    )
    return Part(device, meter, point, series, build(series, cut, capture_s))


def _check_size(cut: tuple[int, ...], tenure: Tenure | None) -> None:
    capture_s = tenure.installation.place.capture_s if tenure else DEFAULT_CAPTURE_S
    readings = (cut[-1] - cut[0]) // capture_s
    if readings > MOST_READINGS:
        what = f"is {readings:,} readings before `to`, more than {MOST_READINGS:,}"
        raise QueryError("from", what, "ask for less time at once")


def _cut(boundaries: tuple[int, ...], tenure: Tenure | None) -> tuple[int, ...]:
    """Return the boundaries within an installation, its own ends among them."""
    if tenure is None:
        return boundaries
    since_s = _quarter_after(tenure.installation.since)
    until_s = int(tenure.until.timestamp()) // 900 * 900 if tenure.until else boundaries[-1]
    first_s, last_s = max(boundaries[0], since_s), min(boundaries[-1], until_s)
    inner = [one for one in boundaries if first_s < one < last_s]
    return (first_s, *inner, last_s) if first_s < last_s else (first_s,)


def _quarter_after(moment: datetime) -> int:
    second = int(moment.timestamp()) + (moment.microsecond > 0)
    return -(-second // 900) * 900


def build_document(question: Question, history: History) -> Json:
    """Return the JSON document of an answer."""
    zone = get_zone(history.zone, "zone")
    known = find_register(question.register)
    return {
        "register": format_code(question.register),
        "unit": known.unit if known else "",
        "scaler": known.scaler if known else 0,
        "every": question.every,
        "zone": history.zone,
        "devices": [
            {
                "device": part.device,
                "meter": part.meter,
                "meteringPoint": part.point,
                "undatedReadings": part.series.undated,
                "repeatedReadings": part.series.repeated,
                "buckets": [
                    {
                        "start": format_local(bucket.start_s, zone),
                        "end": format_local(bucket.end_s, zone),
                        **_value_of(bucket),
                        "readings": bucket.readings,
                        "expected": bucket.expected,
                        "flags": status_names(bucket.flags),
                    }
                    for bucket in part.buckets
                ],
            }
            for part in history.parts
        ],
    }


def _value_of(bucket: Bucket | ValueBucket) -> dict[str, Any]:
    if isinstance(bucket, Bucket):
        return {"value": bucket.energy, "quality": bucket.quality, "reason": bucket.reason}
    return {"least": bucket.least, "mean": bucket.mean, "largest": bucket.largest}
