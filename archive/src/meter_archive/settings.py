"""What the process is told by its environment. Neighbours: `__main__`, docs/adr/0031."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class SettingsError(Exception):
    """A setting is missing or wrong; the text names it and the remedy."""


class Settings(NamedTuple):
    """All that the process was told; the URL holds what may be a secret: never logged."""

    database: str
    tls: Path
    trust: Path
    retention_days: int
    audit_days: int = 400


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings.

    Raises:
        SettingsError: names the variable.
    """
    database = environment.get("METERTWIN_ARCHIVE_DATABASE", "")
    if not database.startswith(("postgresql://", "postgres://")):
        raise SettingsError(
            "METERTWIN_ARCHIVE_DATABASE: is no URL postgresql://…; set it as libpq has it"
        )
    return Settings(
        database=database,
        tls=Path(environment.get("METERTWIN_ARCHIVE_TLS", "/etc/metertwin/tls")),
        trust=Path(environment.get("METERTWIN_ARCHIVE_TRUST", "/etc/metertwin/trust/ca.crt")),
        retention_days=_days(environment, "METERTWIN_ARCHIVE_RETENTION_DAYS", "3650"),
        audit_days=_days(environment, "METERTWIN_ARCHIVE_AUDIT_DAYS", "400"),
    )


def _days(environment: Mapping[str, str], name: str, default: str) -> int:
    text = environment.get(name, default)
    if not text.isdecimal() or not 1 <= int(text) <= 36500:  # noqa: PLR2004 - a century
        raise SettingsError(f"{name}: {text!r} is no number of days; 1 to 36500 are")
    return int(text)
