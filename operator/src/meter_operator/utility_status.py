"""The condition UtilityRegistered of a SmartMeter. Pure.

It says what the twin says, in words that do not flicker (the twin's `utility_standing`). Whatever
it says, the meter is served. Neighbour: `status`.
"""

import re
from collections.abc import Callable

from meter_operator.desired import Json, Meter

UTILITY_REGISTERED = "UtilityRegistered"
REGISTERED, MISSING = "Registered", "UtilityMissing"
_WORD = re.compile(r"[A-Z][A-Za-z]{0,31}")
_SILENT = "TwinSilent"

Build = Callable[[str, bool | None, str, str], Json]


def build_condition(
    meter: Meter, said: Json | None, before: Json | None, build: Build, *, is_there: bool
) -> list[Json]:
    """Return the condition of a meter with a utility, nothing for one without.

    Args:
        meter: its resource.
        said: what its active twin says: `reason` and `message`; None for nothing yet.
        before: the condition as it is.
        build: makes a condition of type, truth, reason and message.
        is_there: the Utility that it names exists.
    """
    row = meter.spec.get("utility")
    if row is None:
        return []
    if not is_there:
        text = f"spec.utility.name: there is no Utility {row['name']!r} in this namespace"
        return [build(UTILITY_REGISTERED, False, MISSING, text)]
    if said is None:
        if before is not None and before["reason"] != MISSING:
            return [{name: before[name] for name in ("type", "status", "reason", "message")}]
        text = "the twin has not said yet how it stands with its utility"
        return [build(UTILITY_REGISTERED, None, _SILENT, text)]
    reason = said.get("reason")
    reason = reason if isinstance(reason, str) and _WORD.fullmatch(reason) else "Unknown"
    if reason == REGISTERED:
        text = f"{row['name']} has taken this meter"
        return [build(UTILITY_REGISTERED, True, reason, text)]
    return [build(UTILITY_REGISTERED, False, reason, _describe(reason, row, meter, said))]


def _describe(reason: str, row: Json, meter: Meter, said: Json) -> str:
    """Return what is in the way, with the remedy where there is one."""
    text = str(said.get("message") or "")[:200]
    remedy = _REMEDIES.get(reason, "")
    remedy = remedy.format(utility=row["name"], secret=meter.utility_secret)
    return "; ".join(part for part in (f"{row['name']}: {text}" if text else "", remedy) if part)


_CREDENTIALS = (
    "Secret {secret} must have tls.crt and tls.key (or, for openadr-3, client_id and "
    "client_secret) that the utility knows"
)
_WAY = "see spec.url of Utility {utility}, and networkPolicy.utilityEgress of the chart"
_REMEDIES = {
    "Credentials": "Secret {secret} must have tls.crt and tls.key (EC) that belong together, or, "
    "for openadr-3, client_id and client_secret",
    "Certificate": "spec.trust.caBundle of Utility {utility} must have the CA of its server, "
    "and its URL the name in its certificate",
    "Closed": _CREDENTIALS,
    "Unauthorized": _CREDENTIALS,
    "Forbidden": _CREDENTIALS,
    "NotFound": "is spec.url of Utility {utility} the one below which its services are?",
    "Unreachable": _WAY,
    "Timeout": _WAY,
    "Misconfigured": "see the condition Accepted of Utility {utility}",
    MISSING: "the twin has not seen Utility {utility} yet; that may take two minutes",
    "NotRegistered": "the utility does not know this meter, by its name or by its certificate",
    "Cancelled": "the utility has ended it; another twin of this meter asks again",
}
