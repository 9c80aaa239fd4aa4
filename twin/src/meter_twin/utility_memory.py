"""What a twin remembers of its utility, kept and handed over as an application's state is.

So the registration, the events with their answers and the reports that go on move to the successor
with the same rules as any other state: they are final when the twin before has frozen, and begin
in the active twin alone (ADR 18). Neighbours: `openadr2.agent` (the memory), `utility_loop`
(speaks), `application_host` (keeps).
"""

import json

from .application import Answer, Effect, Event, Query
from .openadr2.agent import Agent
from .option_schema import Schema
from .queries import check_names

NAME = "utility"


class UtilityMemory:
    """An application that derives nothing from readings; `kubectl meter dr` asks it."""

    name = NAME
    summary = "Conversation with the utility"
    option_schema: Schema = {"type": "object", "properties": {}}  # noqa: RUF012 - never changed
    state_versions: tuple[int, ...] = (1,)
    queries: tuple[str, ...] = ("dr",)

    def __init__(self, agent: Agent) -> None:
        """Keep what this agent knows."""
        self._agent = agent

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Answer a query."""
        if isinstance(event, Query):
            check_names(dict(event.parameters), "")
            return [Answer(self._agent.describe(now_s))]
        return []

    def export_state(self, version: int) -> bytes:
        """Return the memory."""
        if version != 1:
            raise ValueError(f"utility: state version {version} is unknown")
        return json.dumps(self._agent.export(), separators=(",", ":"), sort_keys=True).encode()

    def import_state(self, version: int, state: bytes) -> None:
        """Go on from a memory."""
        if version != 1:
            raise ValueError(f"utility: state version {version} is unknown")
        self._agent.resume(json.loads(state))
