"""What the meter's twin tells: limits, a charge, a power, prices, until when it holds. Pure.

Source: docs/reference/ems-api.md.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple


class PlanError(ValueError):
    """The document is no plan; the message names the field."""


class Limit(NamedTuple):
    """The most that the home's controllable load may draw, in W; until a moment, if it has one."""

    watts: int
    until_s: float | None


class Charge(NamedTuple):
    """How full storage is to be, in per cent; until a moment, if it has one."""

    percent: int
    until_s: float | None


class Power(NamedTuple):
    """What is to be drawn in W, or by how much more; until a moment, if it has one."""

    watts: int
    until_s: float | None
    is_relative: bool = False


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
    most_import: Limit | None = None
    """What the whole house may draw from the grid."""
    most_export: Limit | None = None
    """What it may give to it."""
    charge: Charge | None = None
    dispatch: Power | None = None
    """What all devices are to draw together."""
    devices: tuple[tuple[str, Power], ...] = ()
    """What is asked of single ones, by their names."""

    def find_device(self, name: str) -> Power | None:
        """Return what is asked of one device."""
        return dict(self.devices).get(name)

    def at(self, now_s: float) -> "Plan":
        """Return what of it holds now: nothing of a plan whose time is over."""
        if now_s >= self.valid_until_s:
            return Plan()
        return self._replace(
            limit=None if _is_over(self.limit, now_s) else self.limit,
            most_import=None if _is_over(self.most_import, now_s) else self.most_import,
            most_export=None if _is_over(self.most_export, now_s) else self.most_export,
            charge=None if _is_over(self.charge, now_s) else self.charge,
            dispatch=None if _is_over(self.dispatch, now_s) else self.dispatch,
            devices=tuple(one for one in self.devices if not _is_over(one[1], now_s)),
        )

    def find_price(self, now_s: float) -> float | None:
        """Return what a kWh costs now, None if nobody knows."""
        rows = (row.price for row in self.prices if row.start_s <= now_s < row.end_s)
        return next(rows, None)


def _is_over(one: Limit | Charge | Power | None, now_s: float) -> bool:
    return one is not None and one.until_s is not None and now_s >= one.until_s


def parse_plan(document: Any) -> Plan:
    """Return the plan of a document.

    Raises:
        PlanError: it is none.
    """
    try:
        limits = document.get("limits", {})  # a twin of an earlier version has none
        prices = tuple(
            Price(_parse(one["start"]), _parse(one["end"]), float(one["price"]))
            for one in document["prices"]
        )
        return Plan(
            _parse(document["valid_until"]),
            _parse_limit(document["limit"]),
            prices,
            _parse_limit(limits.get("import")),
            _parse_limit(limits.get("export")),
            _parse_charge(document.get("charge")),
            _parse_power(document.get("dispatch")),
            tuple(_parse_devices(document["events"])),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlanError(f"the twin's answer is no plan: {type(error).__name__} {error}") from error


def _parse_limit(row: Any) -> Limit | None:
    return None if row is None else Limit(int(row["watts"]), _parse_end(row))


def _parse_charge(row: Any) -> Charge | None:
    """Return what is said in per cent; this home knows of no other unit."""
    if row is None or row["unit"] != "%":
        return None
    return Charge(int(row["value"]), _parse_end(row))


def _parse_power(row: Any) -> Power | None:
    return None if row is None else Power(int(row["value"]), _parse_end(row), bool(row["relative"]))


def _parse_devices(events: Any) -> Iterator[tuple[str, Power]]:
    """Find what is asked of each device in W; of two events the first one's."""
    for event in reversed(events):
        if event.get("value") is not None and event["unit"] == "W":
            end_s = _parse(event["end"]) if event["end"] else None
            asked = Power(int(event["value"]), end_s, bool(event["relative"]))
            yield from ((name, asked) for name in event["resources"])


def _parse_end(row: Any) -> float | None:
    return _parse(row["until"]) if row["until"] else None


def _parse(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
