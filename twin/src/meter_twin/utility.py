"""Builds what a twin needs to speak with its utility; nothing of it is loaded without one.

Neighbours: `shell` (asks for it), `utility_loop`, `utility_memory`, `openadr2.agent`.
"""

from collections.abc import Callable
from typing import Any

from .application import Application, ApplicationType
from .application_host import ApplicationHost
from .configuration import Configuration, UtilitySettings
from .load_control import LoadControl


class Utility:
    """The utility's side of one twin: its memory, and what acts on its events."""

    def __init__(
        self, device: str, settings: UtilitySettings, memory: Any, acting: dict[str, Any]
    ) -> None:
        """Keep them until the loop is built; `acting`: the applications that act on events."""
        self._device = device
        self._settings = settings
        self._memory = memory
        self._acting = acting

    def build_loop(
        self,
        host: ApplicationHost,
        loads: LoadControl,
        may_act: Callable[[], bool],
        is_online: Callable[[], bool],
        changed: Callable[[], None],
    ) -> Any:
        """Return the `UtilityLoop`; its type would load it, in a twin without a utility too.

        Args:
            host: keeps the memory, and answers for the profile.
            loads: commands the meter, unless load control is stopped.
            may_act: this twin has the authority, and has begun.
            is_online: the meter speaks.
            changed: called when the standing with the utility is another one.
        """
        from .deciders import Deciders  # noqa: PLC0415
        from .utility_loop import UtilityLoop  # noqa: PLC0415
        from .utility_talk import UtilityTalk  # noqa: PLC0415

        deciders = Deciders(self._acting.values())
        memory, settings = self._memory, self._settings
        talk = UtilityTalk(
            *(self._device, settings, memory, deciders, host, is_online),
            lambda: loads.is_stopped,
        )
        return UtilityLoop(talk, may_act, loads, self._acting, changed)


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
    from .utility_memory import NAME, UtilityMemory  # noqa: PLC0415 - only with a utility

    kind: Any = UtilityMemory
    memory = UtilityMemory()
    found = {name: pair[1] for name, pair in applications.items()}
    acting = {name: one for name, one in found.items() if hasattr(one, "limits_loads")}
    applications[NAME] = (kind, memory)
    return Utility(configuration.device, settings, memory, acting)
