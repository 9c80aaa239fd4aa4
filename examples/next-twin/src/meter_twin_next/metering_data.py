"""Application `metering-data` of the next version: as before, and the month's highest demand.

Its state has a second version: that of the stock twin with the demand beside it. Both are read and
written, so that a handover to and from the stock twin carries what both know; a twin that comes
from version 1 knows the demand from then on. Neighbour: `demand` holds that rule.
"""

import json
from typing import Any

from meter_twin.application import (
    Answer,
    Context,
    Effect,
    Event,
    Forget,
    Query,
    Record,
    RecordRange,
)
from meter_twin.applications.metering_data import MeteringData as Stock
from meter_twin.queries import check_names

from meter_twin_next.demand import REGISTER, SERIES, HighestDemand

_YEAR_S = 366 * 86400


class MeteringData(Stock):
    """See the module."""

    summary = f"{Stock.summary}, the month's highest quarter-hour demand"
    state_versions = (2, 1)
    queries = (*Stock.queries, SERIES)

    def __init__(self, options: dict[str, Any], context: Context) -> None:
        """Begin without a reading."""
        super().__init__(options, context)
        self._demand = HighestDemand()

    def handle(self, event: Event, now_s: int) -> list[Effect]:
        """Take a reading or answer a query."""
        if isinstance(event, Query) and event.name == SERIES:
            check_names(dict(event.parameters), "")
            kept = RecordRange(SERIES, now_s - _YEAR_S, now_s + 1)
            return [Answer(self._demand.describe(), {"months": kept})]
        effects = super().handle(event, now_s)
        return [*effects, *(more for one in effects for more in self._follow(one))]

    def _follow(self, effect: Effect) -> list[Effect]:
        """Return what follows from an effect of the stock application."""
        if isinstance(effect, Forget) and effect.series == "profile":
            return [Forget(SERIES, effect.before_s)]
        if not isinstance(effect, Record) or effect.series != "profile":
            return []
        energy = effect.body["registers"].get(REGISTER)
        record = None if energy is None else self._demand.feed(effect.time_s, energy)
        return [record] if record else []

    def export_state(self, version: int) -> bytes:
        """Return the state; version 2 is that of version 1 with the demand beside it."""
        if version != 2:  # noqa: PLR2004 - the number of a format
            return super().export_state(version)
        document = json.loads(super().export_state(1))
        document["demand"] = self._demand.export()
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()

    def import_state(self, version: int, state: bytes) -> None:
        """Take over a state; one of version 1 does not know the demand."""
        demand = HighestDemand()
        if version == 2:  # noqa: PLR2004 - the number of a format
            try:
                demand = HighestDemand.restore(json.loads(state)["demand"])
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError("metering-data: damaged state") from error
        super().import_state(1 if version == 2 else version, state)  # noqa: PLR2004
        self._demand = demand
