"""Builds what a twin needs to speak with its utility; nothing of it is loaded without one.

Neighbours: `shell` (asks for it), `utility_loop`, `utility_memory`, `openadr2.agent`, `ems_line`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from .api import Api
from .application import Application, ApplicationType
from .application_host import ApplicationHost
from .configuration import Configuration, UtilitySettings
from .load_control import LoadControl
from .mqtt_shell import MqttShell
from .peer_port import PeerPort


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
        account = _Account(host, self._acting).step
        return UtilityLoop(talk, may_act, loads, self._acting, changed, account)


class _Account:
    """What events have brought; whoever keeps it is loaded with the first event."""

    def __init__(self, host: ApplicationHost, acting: dict[str, Any]) -> None:
        self._host = host
        self._acting = acting
        self._keeper: Any = None

    def step(self, book: Iterable[Any], now_s: int) -> None:
        """Look at the events once, and at those that are kept already.

        Raises:
            StoreError: not written; the next step does it.
        """
        if self._keeper is None:
            from .utility_memory import ANY_PERFORMANCE, NAME  # noqa: PLC0415

            if not (any(True for _ in book) or self._host.load(NAME, ANY_PERFORMANCE)):
                return
            from .performance_keeper import build_performance_keeper  # noqa: PLC0415

            self._keeper = build_performance_keeper(self._host, self._acting)
        self._keeper.step(book, now_s)


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


def build_ems(
    configuration: Configuration, speaking: Any, broker: MqttShell, api: Api, peers: PeerPort
) -> Any:
    """Serve the home's energy management by what the `UtilityLoop` knows.

    Returns:
        The `EmsLine`, whose type would load it; None if the resource names no energy management.
    """
    from .ems_desk import EmsDesk  # noqa: PLC0415 - only with a utility

    desk = EmsDesk(speaking.build_plan, speaking.override)
    api.serve_ems(desk)
    peers.desk = desk
    if not configuration.ems_name:
        return None
    from .ems_line import EmsLine  # noqa: PLC0415 - only with an energy management

    return EmsLine(configuration, broker, desk, speaking.find_plan)
