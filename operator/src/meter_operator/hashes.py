"""Hashes of what makes a twin another one: the spec, the profile, what it has from that. Pure.

Neighbours: `desired` (which asks for all of them), `members` and `content` (which compare).
"""

import hashlib
import json
from typing import Any

from meter_operator.selection import select_applications, select_engines

Json = dict[str, Any]


def hash_json(value: Any) -> str:
    """Return 16 hex digits that stand for a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def hash_spec(spec: Json) -> str:
    """Return the hash of what the meter itself asks for; another one means another epoch.

    Neither the profile's content (`hash_profile`) nor the operator's settings are in it: a newer
    operator never replaces a running twin, it applies to the next epoch. Only listed fields count,
    because a newer CRD adds fields with defaults to every resource. What is the archive's alone
    replaces no twin.
    """
    hashed = {name: spec[name] for name in HASHED_FIELDS if name in spec}
    policy = hashed.get("dataPolicy")
    if isinstance(policy, dict) and "archiveRetentionDays" in policy:
        hashed["dataPolicy"] = {
            name: value for name, value in policy.items() if name != "archiveRetentionDays"
        }
    return hash_json(hashed)


def hash_profile(spec: Json, profile: Json) -> str:
    """Return the hash of what the meter's twin has from its profile (ADR 13).

    What the meter selects itself is not in it, nor are the operator's own settings: where the
    profile leaves the version to the operator, a newer operator replaces no twin.

    Raises:
        SelectionError: the meter selects what is not offered.
    """
    twin = profile.get("twin") or {}
    pinned = (spec.get("twin") or {}).get("version")
    return hash_json(
        [
            "" if pinned else twin.get("version") or "",
            twin.get("image") or "",
            twin.get("resources") or {},
            select_applications(spec, profile),
            select_engines(spec, profile),
        ]
    )


CONTENT_FIELDS = ("applications", "engines")
TWIN_FIELDS = ("version", "image", "resources")


def take_content(profile: Json) -> Json:
    """Return all in a profile's spec that any twin may have from it."""
    twin = profile.get("twin") or {}
    listed = {name: profile[name] for name in CONTENT_FIELDS if profile.get(name)}
    return listed | {"twin": {name: twin[name] for name in TWIN_FIELDS if twin.get(name)}}


def hash_content(profile: Json) -> str:
    """Return the hash of all in a profile's spec that any twin may have from it."""
    content = take_content(profile)
    return hash_json([{name: content[name] for name in content if name != "twin"}, content["twin"]])


# A field that joins later must be left out of the hash while it has its default.
HASHED_FIELDS = (
    "device", "protocol", "keyVersion", "meteringPoint", "profile", "twin", "capturePeriodSeconds",
    "reportSpreadSeconds", "registers", "applications", "engines", "dataPolicy", "utility", "ems",
)  # fmt: skip
