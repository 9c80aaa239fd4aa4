"""Registries: which applications and engines exist, and the check of what was selected.

Built-in ones are listed here, others come from the entry-point groups `metertwin.applications` and
`metertwin.engines` of a derived image; `importlib.metadata` (1.5 MiB) is loaded only when a name
is not built in. The operator reads the same facts in `crds/catalogue.json`.
"""

import importlib
from typing import Any

from .application import Application, ApplicationType, Context
from .configuration import ConfigurationError
from .engine import EngineType
from .option_schema import OptionError, Violation, apply_schema

APPLICATION_GROUP = "metertwin.applications"
ENGINE_GROUP = "metertwin.engines"
APPLICATIONS = {
    "capacity-bidding": "meter_twin.applications.capacity_bidding:CapacityBidding",
    "demand-response": "meter_twin.applications.demand_response:DemandResponse",
    "metering-data": "meter_twin.applications.metering_data:MeteringData",
    "pricing": "meter_twin.applications.pricing:Pricing",
    "power-quality": "meter_twin.applications.power_quality:PowerQuality",
}
ENGINES = {"sealed-box": "meter_twin.engines.sealed_box:SealedBox"}


def find_application(name: str) -> ApplicationType | None:
    """Return an application's class, None if this image has none of this name."""
    found: ApplicationType | None = _find(name, APPLICATIONS, APPLICATION_GROUP)
    return found


def find_engine(name: str) -> EngineType | None:
    """Return an engine's class, None if this image has none of this name."""
    found: EngineType | None = _find(name, ENGINES, ENGINE_GROUP)
    return found


def _find(name: str, built_in: dict[str, str], group: str) -> Any:
    if name in built_in:
        module, _, attribute = built_in[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    from importlib.metadata import entry_points  # noqa: PLC0415 - see the module's docstring

    for point in entry_points(group=group, name=name):
        return point.load()
    return None


def build_applications(
    selected: dict[str, dict[str, Any]], context: Context
) -> dict[str, tuple[ApplicationType, Application]]:
    """Build the selected applications.

    Raises:
        ConfigurationError: with the field's path: unknown application or a bad option, or what an
            application cannot work with.
    """
    built = {}
    for name, options in selected.items():
        field = f"METERTWIN_CONFIG.applications.{name}"
        kind = find_application(name)
        if kind is None:
            known = ", ".join(APPLICATIONS)
            raise _unknown(field, "application", known)
        try:
            checked = apply_schema(kind.option_schema, options, field)
            built[name] = (kind, kind(checked, context))
        except OptionError as error:
            raise ConfigurationError(error.violation) from error
    return built


def build_engines(selected: dict[str, str]) -> dict[str, Any]:
    """Return {port: engine} of the selected engines.

    Raises:
        ConfigurationError: unknown engine, or one that is for another port.
    """
    built = {}
    for port, name in selected.items():
        field = f"METERTWIN_CONFIG.engines.{port}"
        kind = find_engine(name)
        if kind is None:
            raise _unknown(field, "engine", ", ".join(ENGINES))
        if kind.port != port:
            raise ConfigurationError(
                Violation(field, f"names an engine for {kind.port}", "select it there")
            )
        built[port] = kind()
    return built


def _unknown(field: str, what: str, known: str) -> ConfigurationError:
    return ConfigurationError(
        Violation(field, f"is no {what} of this twin's image", f"choose one of: {known}")
    )
