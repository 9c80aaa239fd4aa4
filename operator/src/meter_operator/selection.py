"""What a meter selects from what its profile offers. Pure.

Neighbours: `desired`, which asks for it, and `policies`, which turns a `SelectionError` into a
condition.
"""

from typing import Any

Json = dict[str, Any]


class SelectionError(ValueError):
    """The meter selects what its profile does not offer; `field` is the path in the spec."""

    def __init__(self, field: str, message: str) -> None:
        """Keep the path apart from the text."""
        super().__init__(f"{field}: {message}")
        self.field = field


def _checked(value: Any, option: Json, path: str) -> Any:
    kinds = {"Integer": int, "String": str, "Boolean": bool}
    kind = kinds[option["type"]]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise SelectionError(path, f"must be of type {option['type']}")
    if "minimum" in option and value < option["minimum"]:
        raise SelectionError(path, f"must be at least {option['minimum']}")
    if "maximum" in option and value > option["maximum"]:
        raise SelectionError(path, f"must be at most {option['maximum']}")
    if "allowed" in option and value not in option["allowed"]:
        raise SelectionError(path, f"must be one of {', '.join(option['allowed'])}")
    return value


def _options(name: str, chosen: Json, offered: Json) -> Json:
    known = {option["name"]: option for option in offered.get("options", [])}
    for option in chosen:
        if option not in known:
            path = f"spec.applications.{name}.options.{option}"
            raise SelectionError(path, f"is not offered; offered: {', '.join(known) or 'none'}")
    found: Json = {}
    for option, rule in known.items():
        if option in chosen:
            path = f"spec.applications.{name}.options.{option}"
            found[option] = _checked(chosen[option], rule, path)
        elif "default" in rule:
            found[option] = rule["default"]
    return found


def select_applications(spec: Json, profile: Json) -> Json:
    """Return application → options, from what the profile offers.

    Raises:
        SelectionError: an application or option is not offered, or out of bounds.
    """
    offered = {row["name"]: row for row in profile["applications"]["offered"]}
    chosen = spec.get("applications")
    if chosen is None:
        chosen = {name: {} for name in profile["applications"].get("default", [])}
    for name in chosen:
        if name not in offered:
            raise SelectionError(
                f"spec.applications.{name}", f"is not offered; offered: {', '.join(offered)}"
            )
    return {
        name: _options(name, (wish or {}).get("options", {}), offered[name])
        for name, wish in sorted(chosen.items())
    }


def select_engines(spec: Json, profile: Json) -> Json:
    """Return port → engine, from what the profile offers.

    Raises:
        SelectionError: an engine is not offered for its port.
    """
    engines = profile.get("engines") or {}
    offered = engines.get("offered") or {}
    chosen = {**(engines.get("default") or {}), **(spec.get("engines") or {})}
    for port, engine in chosen.items():
        if engine not in offered.get(port, []):
            known = ", ".join(offered.get(port, [])) or "none"
            raise SelectionError(f"spec.engines.{port}", f"is not offered; offered: {known}")
    return dict(sorted(chosen.items()))
