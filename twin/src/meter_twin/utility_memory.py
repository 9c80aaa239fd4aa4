"""What a twin remembers of its utility, kept and handed over as an application's state is.

So the registration, the events with their answers and the reports that go on move to the successor
with the same rules as any other state: they are final when the twin before has frozen, and begin
in the active twin alone (ADR 18, ADR 20). There may be a memory and no agent: the utility's address
comes from a file. Neighbours: `openadr2.agent` (the memory), `utility_loop` (builds the agent, and
speaks), `application_host` (keeps).
"""

import json
from typing import Any

from .application import Answer, Effect, Event, Query, RecordRange
from .option_schema import Schema
from .queries import check_names
from .utility_agent import UtilityAgent, check_memory

NAME = "utility"
PERFORMANCE = "performance"
"""The series of what the house did in events; `performance_keeper` keeps it."""
END_OF_TIME_S = 1 << 53
_SHOWN_PERFORMANCES = 20
ANY_PERFORMANCE = RecordRange(PERFORMANCE, 0, END_OF_TIME_S, 1)
_RANGES = {
    PERFORMANCE: RecordRange(PERFORMANCE, 0, END_OF_TIME_S, _SHOWN_PERFORMANCES, newest=True)
}


class UtilityMemory:
    """An application that derives nothing from readings; `kubectl meter dr` asks it."""

    name = NAME
    summary = "Conversation with the utility"
    option_schema: Schema = {"type": "object", "properties": {}}  # noqa: RUF012 - never changed
    state_versions: tuple[int, ...] = (1,)
    queries: tuple[str, ...] = ("dr",)

    def __init__(self) -> None:
        """Begin without an agent."""
        self._agent: UtilityAgent | None = None
        self._memory: dict[str, Any] | None = None
        self.standing = ("", "")
        """Reason and message while there is no agent."""

    @property
    def memory(self) -> dict[str, Any] | None:
        """What is remembered now, None for nothing."""
        return self._memory if self._agent is None else self._agent.export()

    @property
    def agent(self) -> UtilityAgent | None:
        """Who speaks with the utility."""
        return self._agent

    @agent.setter
    def agent(self, agent: UtilityAgent | None) -> None:
        self._memory, self._agent = self.memory, agent

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Answer a query."""
        if not isinstance(event, Query):
            return []
        check_names(dict(event.parameters), "")
        if self._agent is not None:
            return [Answer(self._agent.describe(now_s), _RANGES)]
        reason, message = self.standing
        document = {"registered": False, "reason": reason, "message": message, "protocol": ""}
        nothing: dict[str, Any] = {
            "ven_id": "",
            "override_until": None,
            "troubles": {},
            "events": [],
            "reports": [],
            "notifications": None,
            "capacity": None,
        }
        return [Answer(document | nothing, _RANGES)]

    def export_state(self, version: int) -> bytes:
        """Return the memory."""
        if version != 1:
            raise ValueError(f"utility: state version {version} is unknown")
        return json.dumps(self.memory, separators=(",", ":"), sort_keys=True).encode()

    def import_state(self, version: int, state: bytes) -> None:
        """Go on from a memory."""
        if version != 1:
            raise ValueError(f"utility: state version {version} is unknown")
        memory = json.loads(state)
        check_memory(memory)
        if self._agent is not None:
            self._agent.resume(memory)
        else:
            self._memory = memory
