"""Bodies of requests: JSON that its schema has checked, or an error that names the field.

Neighbours: `api_commands`, `api_orders`, `ems_desk`.
"""

import base64
import json
from typing import Any

from .http_server import ApiError
from .option_schema import OptionError, Schema, apply_schema


def parse_body(body: bytes, schema: Schema) -> dict[str, Any]:
    """Return the document of a body.

    Raises:
        ApiError: it is no JSON, or not what the schema says.
    """
    try:
        document: dict[str, Any] = apply_schema(schema, json.loads(body), "body")
    except OptionError as error:
        raise ApiError(400, *error.violation) from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "body", "is not JSON", "send a JSON object") from error
    return document


def decode_base64(text: str, field: str) -> bytes:
    """Return the bytes of a field.

    Raises:
        ApiError: it is no base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ApiError(400, field, "is not base64", "encode the bytes") from error
