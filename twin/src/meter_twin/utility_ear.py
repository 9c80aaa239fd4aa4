"""Has a listener for a utility that publishes over MQTT, none for any other.

The listener and what it needs are loaded only then. Neighbours: `utility_talk` (whose it is),
`notification_listener`.
"""

import ssl
from collections.abc import Callable
from typing import Any

from .utility_agent import UtilityAgent


class UtilityEar:
    """Of one twin."""

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        """Listen nowhere; `context` is that of the connections to the utility."""
        self._context = context
        self._listener: Any = None
        self._broker: Any = None

    async def follow(self, agent: UtilityAgent) -> None:
        """Listen where the utility publishes now, or nowhere."""
        broker = agent.broker
        if broker == self._broker:
            return
        await self.close()
        self._broker = broker
        if broker is not None:
            from .notification_listener import NotificationListener  # noqa: PLC0415

            spoken: Any = agent  # one of 3.1: others have no broker
            self._listener = NotificationListener(spoken.notices, self._context)
            self._listener.start()

    async def close(self) -> None:
        """End the session."""
        listener, self._listener, self._broker = self._listener, None, None
        if listener is not None:
            await listener.close()
