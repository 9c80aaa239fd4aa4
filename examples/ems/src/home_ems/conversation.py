"""What a home and its meter's twin say to each other over the broker, as topics and messages. Pure.

A plan comes in parts, from the twin that speaks for the meter now: another one with a higher epoch
may take its place at any time. The topic of its plan says where it listens. Source:
docs/reference/ems-api.md. Neighbour: `twin_line` (the broker).
"""

import json
from typing import Any

from .plan import Plan, PlanError, parse_plan

MOST_PARTS = 99


class Conversation:
    """With the twins of one meter."""

    def __init__(self, device: str, user: str) -> None:
        """`user`: the common name of the home's certificate."""
        self._device, self._user = device, user
        self._epoch = 0
        self._issued = ""
        self._parts: dict[int, dict[str, Any]] = {}
        self.filters = tuple(f"ems/to/{device}/+/{user}/{one}" for one in ("plan", "answer"))
        """What the home subscribes to; it stays for all epochs."""

    def find_topic(self, channel: str) -> str | None:
        """Return where the twin listens that told the last plan; None before there was one."""
        if not self._epoch:
            return None
        return f"ems/from/{self._user}/{self._device}/{self._epoch}/{channel}"

    def take(self, topic: str, payload: bytes) -> Plan | str | None:
        """Take a message: return a plan that is whole, the text of an answer, or None.

        A twin of an older epoch is not listened to any more.

        Raises:
            PlanError: it is none of these.
        """
        try:
            epoch, channel = int(topic.split("/")[3]), topic.rpartition("/")[2]
            document = json.loads(payload)
            if epoch < self._epoch:
                return None
            if channel == "answer":
                return json.dumps(document)
            return self._take_part(epoch, document)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise PlanError(f"{topic}: {type(error).__name__} {error}") from error

    def _take_part(self, epoch: int, document: dict[str, Any]) -> Plan | None:
        number, count = int(document["part"]), int(document["parts"])
        if not 1 <= number <= count <= MOST_PARTS:
            raise ValueError(f"part {number} of {count}")
        if (epoch, document["issued"]) != (self._epoch, self._issued):
            self._epoch, self._issued, self._parts = epoch, document["issued"], {}
        self._parts[number] = document
        if len(self._parts) < count:
            return None
        whole: dict[str, Any] = {}
        prices: list[Any] = []
        for _, one in sorted(self._parts.items()):
            whole |= one
            prices += one["prices"]
        return parse_plan(whole | {"prices": prices})
