"""What the meter's twin tells: a limit and prices, until when it holds. Pure.

Source: docs/reference/ems-api.md.
"""

from datetime import datetime
from typing import Any, NamedTuple


class PlanError(ValueError):
    """The document is no plan; the message names the field."""


class Limit(NamedTuple):
    """The most that the home's controllable load may draw, in W; until a moment, if it has one."""

    watts: int
    until_s: float | None


class Price(NamedTuple):
    """What a kWh costs from a moment until another."""

    start_s: float
    end_s: float
    price: float


class Plan(NamedTuple):
    """See the module; the empty one says nothing."""

    valid_until_s: float = 0.0
    limit: Limit | None = None
    prices: tuple[Price, ...] = ()

    def at(self, now_s: float) -> "Plan":
        """Return what of it holds now: nothing of a plan whose time is over."""
        if now_s >= self.valid_until_s:
            return Plan()
        limit = self.limit
        is_over = limit is not None and limit.until_s is not None and now_s >= limit.until_s
        return self._replace(limit=None if is_over else limit)

    def find_price(self, now_s: float) -> float | None:
        """Return what a kWh costs now, None if nobody knows."""
        rows = (row.price for row in self.prices if row.start_s <= now_s < row.end_s)
        return next(rows, None)


def parse_plan(document: Any) -> Plan:
    """Return the plan of a document.

    Raises:
        PlanError: it is none.
    """
    try:
        row = document["limit"]
        limit = None
        if row is not None:
            limit = Limit(int(row["watts"]), _parse(row["until"]) if row["until"] else None)
        prices = tuple(
            Price(_parse(one["start"]), _parse(one["end"]), float(one["price"]))
            for one in document["prices"]
        )
        return Plan(_parse(document["valid_until"]), limit, prices)
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"the twin's answer is no plan: {type(error).__name__} {error}") from error


def _parse(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
