"""What is wrong with a meter, as a checklist. Pure: observed in, violation or None out.

The first violation wins; a meter with one never gets a pod. Neighbour: `plan`.
"""

from collections.abc import Callable
from typing import NamedTuple
from zoneinfo import available_timezones

from meter_operator.observed import Observed
from meter_operator.selection import SelectionError, select_applications, select_engines

ZONES = frozenset(available_timezones())


class Violation(NamedTuple):
    """Why a meter cannot have a twin: a PascalCase reason and a message with the field's path."""

    reason: str
    message: str


def paused(observed: Observed) -> Violation | None:
    """The user asked us to keep our hands off."""
    if not observed.meter.paused:
        return None
    return Violation("Paused", "metadata.annotations[metertwin.io/paused] is true; remove it")


def protocol_unknown(observed: Observed) -> Violation | None:
    """Only link version 1 exists; anything else needs a driver."""
    protocol = observed.meter.spec.get("protocol", "link-v1")
    if protocol == "link-v1":
        return None
    return Violation("UnknownProtocol", f"spec.protocol: {protocol!r} is not link-v1")


def timezone_unknown(observed: Observed) -> Violation | None:
    """A twin cannot start with a zone that no database has."""
    zone = observed.meter.spec["meteringPoint"].get("timezone", "UTC")
    if not ZONES or zone in ZONES:
        return None
    text = f"spec.meteringPoint.timezone: {zone!r} is no IANA time zone such as Europe/Brussels"
    return Violation("UnknownTimezone", text)


def duplicate_device(observed: Observed) -> Violation | None:
    """Two resources for one device: the oldest wins."""
    if not observed.older_twins_of_device:
        return None
    other = observed.older_twins_of_device[0]
    text = f"spec.device: {observed.meter.device!r} belongs to {other} already, which is older"
    return Violation("DuplicateDevice", text)


def profile_missing(observed: Observed) -> Violation | None:
    """The profile says what is offered; without it nothing is."""
    if observed.profile is not None:
        return None
    meter = observed.meter
    text = f"spec.profile: there is no TwinProfile {meter.spec['profile']!r}"
    return Violation("ProfileMissing", f"{text} in namespace {meter.key.namespace}")


def selection_not_offered(observed: Observed) -> Violation | None:
    """A meter selects from what its profile offers."""
    if observed.profile is None:
        return None
    try:
        select_applications(observed.meter.spec, observed.profile)
        select_engines(observed.meter.spec, observed.profile)
    except SelectionError as error:
        return Violation("NotOffered", str(error))
    return None


def secret_missing(observed: Observed) -> Violation | None:
    """An export without its recipient's key would be an export in the clear."""
    if not observed.missing_secrets:
        return None
    name = observed.missing_secrets[0]
    recipients = (observed.meter.spec.get("dataPolicy") or {}).get("recipients") or []
    number = next((at for at, row in enumerate(recipients) if row["publicKeySecret"] == name), 0)
    path = f"spec.dataPolicy.recipients[{number}].publicKeySecret"
    return Violation(
        "SecretMissing", f"{path}: Secret {name!r} with key 'publicKey' (64 hex digits) is needed"
    )


CHECKS: tuple[Callable[[Observed], Violation | None], ...] = (
    paused,
    protocol_unknown,
    timezone_unknown,
    duplicate_device,
    profile_missing,
    selection_not_offered,
    secret_missing,
)


def find_violation(observed: Observed) -> Violation | None:
    """Return the first thing that is wrong, or None."""
    for check in CHECKS:
        violation = check(observed)
        if violation:
            return violation
    return None
