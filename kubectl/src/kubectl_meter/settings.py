"""The settings of a meter that are no secret: what `--settings FILE` adds to meter.json.

A file holds one meter's settings, or those of many:
`{"shared": {…}, "meters": {"house-1": {…}, …}}`. Identity, broker, key and TLS files belong to
provisioning and are refused here. Pure but for reading the file.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kubectl_meter.errors import MeterError

OURS = ("device", "key", "tls")
"""What provisioning decides."""
# fmt: off
KNOWN = frozenset((
    "serial", "broker", "capture_period_s", "report_spread_s", "state_dir", "ring_segments",
    "ring_bytes", "ring_days", "save_period_s", "tick_ms", "quality", "rtc", "rtc_error_s",
    "watchdog_s", "oracle_log", "tariff", "electricity", "profiles", "ems", "loads", "supply_relay",
    "never_disconnect", "utility_key", "trips", "wifi", "sntp", "calibration", "pulses",
))
# fmt: on
"""The rest of what the firmware reads from meter.json."""
KNOWN_SMALL = frozenset((
    "broker", "capture_period_s", "report_spread_s", "state_dir", "ring_segments", "ring_bytes",
    "pulse_uj", "generator_uj", "pulses", "loads", "trips", "watchdog_s", "sntp", "encrypt",
))  # fmt: skip
"""The same of its small profile; anything else would only take room in 38 KB of heap."""
_EXAMPLE = '{"capture_period_s": 900}'
_DAY_S, _MOST_SPREAD_S = 86400, 3600
_YEARS_OF_OFFSETS = 10


def load_settings(path: str) -> dict[str, Any]:
    """Return the JSON object of a file.

    Raises:
        MeterError: not there, no JSON, no object.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MeterError(
            f"{path}: {error.strerror}", field="--settings", remedy="name a file that you may read"
        ) from None
    except ValueError as error:
        raise MeterError(
            f"{path} is no JSON: {error}", field="--settings", remedy=f"such as {_EXAMPLE}"
        ) from None
    if not isinstance(document, dict):
        raise MeterError(f"{path} holds no object", field="--settings", remedy="begin it with {")
    return document


def settings_of(document: dict[str, Any], device: str, now: datetime) -> dict[str, Any]:
    """Return the settings of one device, with its time zone as a table of offsets.

    Raises:
        MeterError: the device has none there, or they claim what provisioning decides.
    """
    found = document
    if "meters" in document:
        meters = document["meters"]
        if device not in meters:
            raise MeterError(
                f"the settings have no meter {device}",
                field=f"meters.{device}",
                remedy=f"known are: {', '.join(sorted(meters))}",
            )
        found = merge(document.get("shared", {}), meters[device])
    check_settings(found)
    tariff = found.get("tariff")
    if isinstance(tariff, dict) and "zone" in tariff:
        rest = {key: value for key, value in tariff.items() if key != "zone"}
        found = {**found, "tariff": {**rest, "offsets": zone_offsets(tariff["zone"], now)}}
    return found


def check_settings(settings: dict[str, Any], known: frozenset[str] = KNOWN) -> None:
    """Refuse what provisioning decides, what no firmware reads, and what it would not start with.

    Args:
        settings: of one meter.
        known: what its profile reads.

    Raises:
        MeterError: naming the setting.
    """
    for field in settings:
        if field in OURS:
            raise MeterError(
                f"{field} is decided by provisioning", field=field, remedy="leave it out"
            )
        if field not in known:
            kind = "a meter" if known is KNOWN else "a constrained board"
            raise MeterError(
                f"{field} is no setting of {kind}",
                field=field,
                remedy=f"known are: {', '.join(sorted(known))}",
            )
    period_s = settings.get("capture_period_s", 900)
    if not _is_whole(period_s, 1, _DAY_S) or not _fits_clock(period_s):
        raise MeterError(
            f"a capture period of {json.dumps(period_s)} s does not fit the clock",
            field="capture_period_s",
            remedy="must divide a day, and be whole minutes or divide one: 1, 60, 300, 900, 3600",
        )
    if not _is_whole(settings.get("report_spread_s", 0), 0, _MOST_SPREAD_S):
        raise MeterError(
            f"a spread of {json.dumps(settings['report_spread_s'])} s is out of bounds",
            field="report_spread_s",
            remedy=f"give 0 to {_MOST_SPREAD_S}",
        )


def _is_whole(value: Any, lowest: int, highest: int) -> bool:
    return type(value) is int and lowest <= value <= highest


def _fits_clock(period_s: int) -> bool:
    """Return whether the resource takes it too (spec.capturePeriodSeconds)."""
    return _DAY_S % period_s == 0 and (60 % period_s == 0 or period_s % 60 == 0)


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return `one` with `other` laid over it, objects within objects."""
    result = dict(one)
    for key, value in other.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            result[key] = merge(below, value)
        else:
            result[key] = value
    return result


def assign(settings: dict[str, Any], assignment: str) -> dict[str, Any]:
    """Return the settings with `path=value` of `--set`; the value is JSON, else text.

    Raises:
        MeterError: there is no `=`.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise MeterError(
            f"{assignment!r} has no value", field="--set", remedy="--set capture_period_s=60"
        )
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    for part in reversed(path.split(".")):
        value = {part: value}
    return merge(settings, value)


def zone_offsets(name: str, now: datetime, field: str = "tariff.zone") -> list[list[int]]:
    """Return rows [UTC second, offset in seconds] of a zone: now, and its changes in ten years.

    `field` names the zone in the error.

    Raises:
        MeterError: unknown zone.
    """
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise MeterError(
            f"{name!r} is no time zone",
            field=field,
            remedy="use one such as Europe/Brussels",
        ) from None
    second = int(now.timestamp()) // 900 * 900
    rows = [[0, _offset(zone, second)]]
    end = second + int(timedelta(days=366 * _YEARS_OF_OFFSETS).total_seconds())
    while second < end:
        following = second + 86400
        if _offset(zone, following) != rows[-1][1]:
            change = _change(zone, second, following)
            rows.append([change, _offset(zone, change)])
        second = following
    return rows


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first second with the offset that holds at `high`."""
    wanted = _offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(zone, middle) == wanted else (middle, high)
    return high
