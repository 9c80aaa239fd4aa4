"""Words of descriptions: JSON schemas (draft 2020-12) and parameters that many questions have.

Neighbours: `queries` (what a description is), modules of descriptions.
"""

from meter_archive.queries import Json, Parameter


def text(description: str, **more: object) -> Json:
    """Return the schema of a text."""
    return {"type": "string", "description": description, **more}


def whole(description: str, *, missing: bool = False) -> Json:
    """Return the schema of an integer, which may be null if it can be missing."""
    return {"type": ["integer", "null"] if missing else "integer", "description": description}


def choice(description: str, *known: str) -> Json:
    """Return the schema of one of some texts."""
    return {"type": "string", "enum": list(known), "description": description}


def moment(description: str, *, missing: bool = False) -> Json:
    """Return the schema of a time with its offset, RFC 3339."""
    kind = ["string", "null"] if missing else "string"
    return {"type": kind, "format": "date-time", "description": description}


def several(description: str, of: Json) -> Json:
    """Return the schema of a list."""
    return {"type": "array", "description": description, "items": of}


def record(description: str, members: Json, *, optional: tuple[str, ...] = ()) -> Json:
    """Return the schema of an object; its members are always there, but for the optional ones."""
    return {
        "type": "object",
        "description": description,
        "properties": members,
        "required": [name for name in members if name not in optional],
    }


SUBJECT = (
    Parameter("meter", "Name of a SmartMeter; one of device, meter, point.", {"type": "string"}),
    Parameter("point", "Metering point, over all devices that it has had.", {"type": "string"}),
    Parameter("device", "Device, wherever it was.", {"type": "string"}),
    Parameter("namespace", "Namespace of `meter`.", {"type": "string"}),
)
SPAN = (
    Parameter(
        "from",
        "Begin: a day (2026-11-01), a local time (2026-11-01T06:00) or one with an offset; a day"
        " before `to` if left out.",
        {"type": "string"},
    ),
    Parameter("to", "End, not included; now if left out.", {"type": "string"}),
)
ZONE = Parameter(
    "zone", "Zone of local times, such as Europe/Brussels; else that of the point.",
    {"type": "string"},
)  # fmt: skip
FORMAT = Parameter(
    "format",
    "`csv` for CSV (RFC 4180), which the header `Accept: text/csv` asks for too.",
    {"type": "string", "enum": ["json", "csv"], "default": "json"},
)
