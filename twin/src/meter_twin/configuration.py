"""Configuration: METERTWIN_CONFIG and the identity files, read once and checked before all else.

Neighbours: `option_schema` (the checks), `registry` (options of applications), `__main__` (prints
the violation and exits with 2). No secret is in the environment: keys come from `keys.json`.
"""

import json
from typing import Any, NamedTuple

from .configuration_schema import KEYS_SCHEMA, SCHEMA
from .option_schema import OptionError, Violation, apply_schema


class ConfigurationError(Exception):
    """Something that the twin was given is wrong; `violation` names field and remedy."""

    def __init__(self, violation: Violation) -> None:
        """Keep the violation; its text holds no value of a key."""
        super().__init__(f"{violation.field}: {violation.message}; {violation.remedy}")
        self.violation = violation


class Keys(NamedTuple):
    """Keys of this epoch; never printed."""

    epoch_id: bytes
    up: bytes
    down: bytes
    ctl: bytes

    def __repr__(self) -> str:
        """Hide the keys from any log."""
        return "Keys(…)"


class Recipient(NamedTuple):
    """Who may open an export: a name and an X25519 public key."""

    name: str
    public_key: bytes


class HomeDevice(NamedTuple):
    """A device behind the meter that the utility is told of."""

    name: str
    kind: str
    """battery, ev, heatPump or pv."""
    most_import_w: int
    most_export_w: int


class UtilitySettings(NamedTuple):
    """Who this meter is to its utility, and where its files are."""

    name: str
    ven_name: str
    groups: tuple[str, ...]
    folder: str
    """utility.json (`utility_file`) and, if its URL is https, ca.crt, tls.crt and tls.key."""
    resources: tuple[HomeDevice, ...] = ()


class ArchiveAddress(NamedTuple):
    """Where the archive is."""

    host: str
    port: int


class Configuration(NamedTuple):
    """All that the process was told."""

    device: str
    epoch: int
    metering_point: str
    namespace: str
    broker_host: str
    broker_port: int
    timezone: str
    capture_period_s: int
    report_spread_s: int
    registers: frozenset[str]
    applications: dict[str, dict[str, Any]]
    engines: dict[str, str]
    purpose: str
    resolution_s: int
    retention_days: int
    recipients: tuple[Recipient, ...]
    archive: ArchiveAddress | None
    store_limit_bytes: int
    certificate_poll_s: int
    identity_dir: str
    trust_file: str
    store_path: str
    plain_port: int
    local_port: int
    peer_port: int
    keys: Keys
    utility: UtilitySettings | None = None
    ems_name: str = ""
    """The reader that is the home's energy management; empty for none."""

    @property
    def has_archive(self) -> bool:
        """Whether entries stay here until an archive has them."""
        return self.archive is not None


def load_configuration(text: str | None) -> Configuration:
    """Parse METERTWIN_CONFIG and read the identity it points to.

    Raises:
        ConfigurationError: names the field, `METERTWIN_CONFIG.…` or `keys.json.…`, or the file.
    """
    if not text:
        raise _error("METERTWIN_CONFIG", "is not set", "set it to the JSON of the contract")
    document = _parse(text, "METERTWIN_CONFIG", SCHEMA)
    paths, policy = document["paths"], document["dataPolicy"]
    identity: str = paths["identity"]
    for file in (f"{identity}/tls.crt", f"{identity}/tls.key", paths["trust"]):
        _read(file)
    return Configuration(
        device=document["device"],
        epoch=document["epoch"],
        metering_point=document["meteringPoint"],
        namespace=document["namespace"],
        broker_host=document["broker"]["host"],
        broker_port=document["broker"]["port"],
        timezone=document["timezone"],
        capture_period_s=document["capturePeriodSeconds"],
        report_spread_s=document["reportSpreadSeconds"],
        registers=frozenset(document["registers"]),
        applications=_applications(document["applications"]),
        engines=document["engines"],
        purpose=policy["purpose"],
        resolution_s=policy["resolutionSeconds"],
        retention_days=policy["retentionDays"],
        recipients=tuple(
            Recipient(one["name"], bytes.fromhex(one["publicKey"])) for one in policy["recipients"]
        ),
        archive=ArchiveAddress(**document["archive"]) if document["archive"] else None,
        store_limit_bytes=document["storeLimitBytes"],
        certificate_poll_s=document["certificatePollSeconds"],
        identity_dir=identity,
        trust_file=paths["trust"],
        store_path=paths["store"],
        plain_port=document["ports"]["plain"],
        local_port=document["ports"]["local"],
        peer_port=document["ports"]["peer"],
        keys=_load_keys(f"{identity}/keys.json", document["device"], document["epoch"]),
        utility=_load_utility(document),
        ems_name=document["ems"]["name"],
    )


def _load_utility(document: dict[str, Any]) -> UtilitySettings | None:
    found = document["utility"]
    if not found["name"]:
        return None
    return UtilitySettings(
        found["name"],
        found["venName"] or document["device"],
        tuple(found["groups"]),
        document["paths"]["utility"],
        tuple(
            HomeDevice(row["name"], row["kind"], row["importWatts"], row["exportWatts"])
            for row in found["resources"]
        ),
    )


def _applications(selected: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: dict(options) for name, options in selected.items()}


def _load_keys(path: str, device: str, epoch: int) -> Keys:
    document = _parse(_read(path), "keys.json", KEYS_SCHEMA)
    for name, expected in (("device", device), ("epoch", epoch)):
        if document[name] != expected:
            raise _error(
                f"keys.json.{name}",
                f"is of another twin than METERTWIN_CONFIG.{name}",
                "mount the Secret of this device and epoch",
            )
    return Keys(*(bytes.fromhex(document[name]) for name in ("epochId", "up", "down", "ctl")))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs 0.3 MiB
            return file.read()
    except (OSError, UnicodeError) as error:
        raise _error(
            path, f"cannot be read ({type(error).__name__})", "mount the twin's Secret and CA"
        ) from error


def _parse(text: str, field: str, schema: dict[str, Any]) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _error(field, "is not JSON", "correct its syntax") from error
    try:
        document: dict[str, Any] = apply_schema(schema, value, field)
    except OptionError as error:
        raise ConfigurationError(error.violation) from error
    return document


def _error(field: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(Violation(field, message, remedy))
