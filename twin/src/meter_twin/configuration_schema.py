"""What METERTWIN_CONFIG and keys.json may hold; docs/reference/contracts.md is its text.

Neighbours: `configuration` (reads both), `option_schema` (the checks).
"""

from typing import Any

_HEX32 = "[0-9a-f]{32}"
_HEX64 = "[0-9a-f]{64}"
_EPOCH = {"type": "integer", "minimum": 1, "maximum": 0xFFFFFFFF}
_DEVICE = {"type": "string", "pattern": "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_PERIOD = {"type": "integer", "maximum": 86400}
_ANY_OBJECT = {"type": "object"}

_RECIPIENT = {
    "type": "object",
    "required": ["name", "publicKey"],
    "properties": {
        "name": {"type": "string", "maxLength": 63},
        "publicKey": {"type": "string", "pattern": _HEX64, "description": "X25519, hex"},
    },
}
_DATA_POLICY = {
    "type": "object",
    "default": {},
    "properties": {
        "purpose": {"type": "string", "default": "billing", "maxLength": 63},
        "resolutionSeconds": {"type": "integer", "minimum": 1, "maximum": 86400, "default": 900},
        "recipients": {"type": "array", "items": _RECIPIENT, "maxItems": 8, "default": []},
        "retentionDays": {"type": "integer", "minimum": 1, "maximum": 3650, "default": 60},
    },
}
_WATTS = {"type": "integer", "minimum": 0, "maximum": 1_000_000, "default": 0}
_RESOURCE = {
    "type": "object",
    "required": ["name", "kind"],
    "properties": {
        "name": {"type": "string", "maxLength": 64},
        "kind": {"type": "string", "enum": ["battery", "ev", "heatPump", "pv"]},
        "importWatts": _WATTS,
        "exportWatts": _WATTS,
    },
}
_UTILITY = {
    "type": "object",
    "default": {},
    "properties": {
        "name": {"type": "string", "maxLength": 253, "default": ""},
        "venName": {"type": "string", "maxLength": 128, "default": ""},
        "groups": {
            "type": "array",
            "maxItems": 64,
            "items": {"type": "string", "maxLength": 256},
            "default": [],
        },
        "resources": {"type": "array", "maxItems": 8, "items": _RESOURCE, "default": []},
    },
}
_EMS = {
    "type": "object",
    "default": {},
    "properties": {
        "name": {
            "type": "string",
            "pattern": "([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?",
            "default": "",
        },
    },
}
_ARCHIVE = {
    "type": "object",
    "nullable": True,
    "default": None,
    "required": ["host"],
    "properties": {
        "host": {"type": "string", "pattern": "[A-Za-z0-9.-]{1,253}"},
        "port": {**_PORT, "default": 8444},
    },
}
_PATHS = {
    "type": "object",
    "default": {},
    "properties": {
        "identity": {"type": "string", "default": "/var/run/metertwin/identity"},
        "utility": {"type": "string", "default": "/var/run/metertwin/utility"},
        "trust": {"type": "string", "default": "/var/run/metertwin/trust/ca.crt"},
        "store": {"type": "string", "default": "/var/lib/metertwin/twin.db"},
    },
}
_PORTS = {
    "type": "object",
    "default": {},
    "properties": {
        "plain": {**_PORT, "default": 8080},
        "local": {**_PORT, "default": 8081},
        "peer": {**_PORT, "default": 8443},
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["device", "epoch", "broker"],
    "properties": {
        "device": _DEVICE,
        "epoch": _EPOCH,
        "meteringPoint": {"type": "string", "maxLength": 64, "default": ""},
        "namespace": {"type": "string", "maxLength": 63, "default": "default"},
        "broker": {
            "type": "object",
            "required": ["host"],
            "properties": {
                "host": {"type": "string", "maxLength": 253},
                "port": {**_PORT, "default": 8883},
            },
        },
        "timezone": {"type": "string", "pattern": "[A-Za-z0-9_+/-]{1,64}", "default": "UTC"},
        "capturePeriodSeconds": {**_PERIOD, "minimum": 1, "default": 900},
        "reportSpreadSeconds": {**_PERIOD, "minimum": 0, "maximum": 3600, "default": 0},
        "registers": {
            "type": "array",
            "maxItems": 64,
            "default": [],
            "items": {
                "type": "string",
                "pattern": r"\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}\.\d{1,3}\*\d{1,3}",
            },
        },
        "applications": {
            "type": "object", "additionalProperties": _ANY_OBJECT, "default": {"metering-data": {}},
        },
        "engines": {
            "type": "object",
            "additionalProperties": {"type": "string", "maxLength": 63},
            "default": {},
        },
        "dataPolicy": _DATA_POLICY,
        "archive": _ARCHIVE,
        "utility": _UTILITY,
        "ems": _EMS,
        "storeLimitBytes": {
            "type": "integer", "minimum": 1 << 20, "maximum": 1 << 40, "default": 200 << 20,
        },
        "certificatePollSeconds": {
            "type": "integer", "minimum": 1, "maximum": 86400, "default": 60,
        },
        "paths": _PATHS,
        "ports": _PORTS,
    },
}  # fmt: skip
KEYS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["device", "epoch", "epochId", "up", "down", "ctl"],
    "properties": {
        "device": _DEVICE,
        "epoch": _EPOCH,
        "epochId": {"type": "string", "pattern": _HEX32},
        **{name: {"type": "string", "pattern": _HEX64} for name in ("up", "down", "ctl")},
    },
}
