"""The dialect of option schemas: a small subset of JSON Schema, and its validator.

Used for the options of applications and engines and for the twin's own configuration. It is a
subset that Kubernetes structural schemas share, so the operator reads the same documents in
`crds/catalogue.json`: `type` object, array, string, integer, number, boolean; `properties`,
`required`, `additionalProperties` (a schema; unknown names are refused otherwise), `items`,
`maxItems`, `nullable`, `enum`, `pattern`, `maxLength`, `minimum`, `maximum`, `default`,
`description`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]


class Violation(NamedTuple):
    """What is wrong with a value: where, what, and what to do."""

    field: str
    message: str
    remedy: str


class OptionError(ValueError):
    """A value that its schema refuses; `violation` names field and remedy."""

    def __init__(self, violation: Violation) -> None:
        """Carry the violation; its text never holds the value itself."""
        super().__init__(f"{violation.field}: {violation.message}; {violation.remedy}")
        self.violation = violation


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def apply_schema(schema: Schema, value: Any, field: str) -> Any:
    """Return the value with the defaults of its schema filled in.

    Args:
        schema: of the dialect above.
        value: parsed JSON.
        field: path of the value, for messages.

    Raises:
        OptionError: the first thing that is wrong, with the field's path.
    """
    kind = schema["type"]
    if value is None and schema.get("nullable"):
        return None
    is_mistyped = not isinstance(value, _PYTHON_TYPES[kind])
    if is_mistyped or (isinstance(value, bool) and kind != "boolean"):
        raise _refused(field, f"is not of type {kind}", f"give it as {kind}")
    if kind == "object":
        return _apply_object(schema, value, field)
    if kind == "array":
        return _apply_array(schema, value, field)
    _check_scalar(schema, value, field)
    return value


def _apply_object(schema: Schema, value: dict[str, Any], field: str) -> dict[str, Any]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    free: Schema | None = schema.get("additionalProperties")
    if free is None and "properties" not in schema:
        return value
    result = {}
    for name, item in value.items():
        found = properties.get(name, free)
        if found is None:
            known = ", ".join(sorted(properties)) or "none"
            raise _refused(f"{field}.{name}", "is unknown", f"remove it; known are: {known}")
        result[name] = apply_schema(found, item, f"{field}.{name}")
    for name, found in properties.items():
        if name in result:
            continue
        if name in schema.get("required", ()):
            raise _refused(f"{field}.{name}", "is missing", f"add a {found['type']}")
        if "default" in found:
            result[name] = apply_schema(found, found["default"], f"{field}.{name}")
    return result


def _apply_array(schema: Schema, value: list[Any], field: str) -> list[Any]:
    most = schema.get("maxItems", 1000)
    if len(value) > most:
        raise _refused(field, f"has {len(value)} items", f"give at most {most}")
    return [
        apply_schema(schema["items"], item, f"{field}[{index}]") for index, item in enumerate(value)
    ]


def _check_scalar(schema: Schema, value: Any, field: str) -> None:
    if "enum" in schema and value not in schema["enum"]:
        choices = ", ".join(str(choice) for choice in schema["enum"])
        raise _refused(field, "is not one of the choices", f"choose one of: {choices}")
    if "minimum" in schema and value < schema["minimum"]:
        raise _refused(field, "is too small", f"give at least {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        raise _refused(field, "is too large", f"give at most {schema['maximum']}")
    if isinstance(value, str):
        if len(value) > schema.get("maxLength", 4096):
            raise _refused(field, "is too long", f"at most {schema.get('maxLength', 4096)}")
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            raise _refused(field, "has the wrong form", f"it must match {schema['pattern']}")


def _refused(field: str, message: str, remedy: str) -> OptionError:
    return OptionError(Violation(field, message, remedy))
