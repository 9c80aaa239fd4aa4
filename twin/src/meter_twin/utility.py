"""Builds what a twin needs to speak with its utility; nothing of it is loaded without one.

Neighbours: `shell` (asks for it), `utility_loop`, `utility_memory`, `openadr2.agent`.
"""

import ssl
from collections.abc import Callable
from typing import Any

from .application import Application, ApplicationType
from .application_host import ApplicationHost
from .configuration import Configuration, UtilitySettings
from .dialing import tls_context
from .link_loop import LinkLoop

_ID_OCTETS = 8


class Utility:
    """The agent of one twin, and what acts on its events."""

    def __init__(self, settings: UtilitySettings, agent: Any, acting: Any) -> None:
        """Keep them until the loop is built."""
        self._settings = settings
        self._agent = agent
        self._acting = acting

    def build_loop(self, host: ApplicationHost, loop: LinkLoop, may_act: Callable[[], bool]) -> Any:
        """Return the `UtilityLoop`; its type would load it, in a twin without a utility too."""
        from .http_client import HttpClient  # noqa: PLC0415
        from .utility_loop import UtilityLoop  # noqa: PLC0415
        from .utility_memory import NAME  # noqa: PLC0415

        client: Any = HttpClient(self._settings.url, self._context)
        if self._settings.signed_by:
            from .signed_client import build_signed_client  # noqa: PLC0415

            client = build_signed_client(client, self._settings)
        return UtilityLoop(
            self._agent, client, lambda: host.keep(NAME), may_act, loop, self._acting
        )

    def _context(self) -> ssl.SSLContext:
        folder = self._settings.folder
        return tls_context(f"{folder}/ca.crt", f"{folder}/tls.crt", f"{folder}/tls.key")


def build_utility(
    configuration: Configuration,
    applications: dict[str, tuple[ApplicationType, Application]],
) -> Utility | None:
    """Return the utility's side of a twin and put its memory beside the applications.

    None if no utility is configured.
    """
    settings = configuration.utility
    if settings is None:
        return None
    import secrets  # noqa: PLC0415 - as all of this, only with a utility

    from .openadr2.agent import Agency, Agent  # noqa: PLC0415
    from .utility_memory import NAME, UtilityMemory  # noqa: PLC0415

    acting: Any = applications["demand-response"][1] if "demand-response" in applications else None
    agency = Agency(
        settings.ven_name,
        configuration.device,
        acting.signals if acting else frozenset(),
        frozenset(settings.market_contexts) or None,
        frozenset(settings.groups),
        signs=bool(settings.signed_by),
    )
    agent = Agent(
        agency,
        lambda event, others, _now_s: acting.decide(event, others),
        lambda: secrets.token_hex(_ID_OCTETS),
    )
    memory: Any = UtilityMemory
    applications[NAME] = (memory, UtilityMemory(agent))
    return Utility(settings, agent, acting)
