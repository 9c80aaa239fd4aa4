"""The utility's settings and the list of VENs that may register, from JSON files.

Neighbours: `programme` (what is planned), `vtn` (uses them). What is left out has the value that
stands here; what is unknown or wrong is refused by its name.
"""

import json
import re
from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from .programme import LEVELS, MILLION, Peak, Programme

_FINGERPRINT = re.compile("[0-9A-F]{2}(:[0-9A-F]{2}){9}")
_NAME = re.compile("(?=.*[A-Za-z])(?!(true|false)$)[A-Za-z0-9._-]{1,128}")
_HOURS = 24


class SettingsError(ValueError):
    """A file cannot be used; the message names it and what is wrong."""


class Settings(NamedTuple):
    """Where it listens, who it is, whom it knows, and what it plans."""

    certificate: str = "/etc/city-grid/tls/tls.crt"
    key: str = "/etc/city-grid/tls/tls.key"
    ca: str = "/etc/city-grid/tls/ca.crt"
    vens: str = "/etc/city-grid/vens/vens.json"
    host: str = "0.0.0.0"  # noqa: S104 - of the pod; who may reach it is the NetworkPolicy's matter
    port: int = 8443
    control_port: int = 8090
    vtn_id: str = "city-grid"
    poll_s: int = 10
    report_s: int = 900
    programme: Programme = Programme()


def load_settings(path: str) -> Settings:
    """Return the settings of a file; an empty object means all defaults.

    Raises:
        SettingsError: it cannot be read, a name is unknown, or a value is wrong.
    """
    given = _read(path)
    programme = given.pop("programme", {})
    if not isinstance(programme, dict):
        raise SettingsError(f"{path}: programme: not an object")
    types = {name: type(value) for name, value in Settings()._asdict().items()}
    for name, value in given.items():
        if name not in types:
            raise SettingsError(f"{path}: {name}: unknown; there are {', '.join(types)}")
        if type(value) is not types[name] or (types[name] is int and value < 1):
            raise SettingsError(f"{path}: {name}: {value!r} cannot be used")
    return Settings(**given, programme=_parse_programme(path, programme))


def _parse_programme(path: str, given: dict[str, Any]) -> Programme:
    found = {}
    for name, value in given.items():
        if name not in _PROGRAMME:
            known = ", ".join(_PROGRAMME)
            raise SettingsError(f"{path}: programme.{name}: unknown; there are {known}")
        field, parse = _PROGRAMME[name]
        try:
            found[field] = parse(value)
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise SettingsError(f"{path}: programme.{name}: {value!r} cannot be used") from error
    return Programme()._replace(**found)


def _parse_text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("text")
    return value


def _parse_prices(value: list[float]) -> tuple[int, ...]:
    if len(value) != _HOURS:
        raise ValueError("24 prices")
    return tuple(round(one * MILLION) for one in value)


def _parse_peaks(value: list[dict[str, Any]]) -> tuple[Peak, ...]:
    return tuple(_parse_peak(**one) for one in value)


def _parse_peak(start: str, end: str, level: int = 2) -> Peak:
    peak = Peak(time.fromisoformat(start), time.fromisoformat(end), level)
    if peak.start >= peak.end or level not in LEVELS:
        raise ValueError("peak")
    return peak


_PROGRAMME: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "timezone": ("zone", ZoneInfo),
    "currency": ("currency", _parse_text),
    "prices": ("prices_micro", _parse_prices),
    "peaks": ("peaks", _parse_peaks),
    "priceContext": ("price_context", _parse_text),
    "peakContext": ("peak_context", _parse_text),
}


def load_vens(path: str) -> dict[str, str]:
    """Return name → fingerprint of the certificate of each VEN that may register.

    Raises:
        SettingsError: it cannot be read, a fingerprint is none, or openleadr would misread a name:
            it takes what consists of digits for a number.
    """
    vens = _read(path)
    for name, fingerprint in vens.items():
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{path}: {name!r} is no name of a VEN; it has a letter in it")
        if not isinstance(fingerprint, str) or not _FINGERPRINT.fullmatch(fingerprint):
            raise SettingsError(f"{path}: {name}: {fingerprint!r} is no fingerprint")
    return vens


def _read(path: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(path).read_text())
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{path}: not an object")
    return found
