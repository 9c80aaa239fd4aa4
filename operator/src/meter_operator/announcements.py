"""What the broker has to hold for each meter, and whether its twins were told otherwise before.

Control records say whether load control is stopped in the meter's profile. No decision is made for
that and nothing is written but one Lease: a stop takes no order to be heard, its end only counts in
a higher term, so that no record of before the stop can be the one that ends it (ADR 23).
Neighbours: `owner` (the bytes), `messenger` (carries), `reconciler` and `watches` (ask).
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from meter_operator.cache import Cache
from meter_operator.desired import Key, Meter
from meter_operator.fleet import Fleet
from meter_operator.load_control import is_stopped
from meter_operator.owner import Message, build_messages
from meter_operator.succession import find_addresses


class Publisher(Protocol):
    """Where retained messages go."""

    term: int

    async def publish(self, messages: list[Message]) -> None:
        """Keep these retained messages on the broker, now or when it is back."""


class Announcements:
    """Of all meters."""

    def __init__(
        self,
        cache: Cache,
        fleet: Fleet,
        publisher: Publisher,
        raise_term: Callable[[int], None],
        *,
        handover: bool,
    ) -> None:
        """Begin with nobody told.

        `raise_term`: the Lease's has to be above this one; `handover`: twins ask each other.
        """
        self._cache = cache
        self._fleet = fleet
        self._publisher = publisher
        self._raise_term = raise_term
        self._handover = handover
        self._told: dict[str, bool | None] = {}

    def forget(self, gone: Meter) -> None:
        """Forget a SmartMeter that was deleted."""
        self._told.pop(gone.uid, None)

    def find_stop(self, meter: Meter) -> bool | None:
        """Return whether load control is stopped for a meter, None where no profile says it.

        A profile that is gone says nothing: what it said last holds, here and in the twins.
        """
        profile = self._cache.profiles.specs.get(Key(meter.key.namespace, meter.spec["profile"]))
        return self._told.get(meter.uid) if profile is None else is_stopped(profile)

    def messages_of(self, meter: Meter, nonce: bytes = b"") -> list[Message]:
        """Return what the broker has to hold: owner record and `ctl` of each epoch.

        `nonce` is that of the meter's hello; a meter without a record believes nothing else.
        """
        nonce = nonce or self._cache.nonces.get(meter.device, b"")
        keys = partial(self._fleet.meter_key, meter.device)
        live = find_addresses(self._cache.pods_of(meter)) if self._handover else {}
        stop, term = self.find_stop(meter), self._publisher.term
        if stop is False and self._told.get(meter.uid):
            self._raise_term(term)
        self._told[meter.uid] = stop
        return build_messages(meter, keys, term, nonce, live, stop=stop)

    async def publish(self, meter: Meter) -> None:
        """Say all of a meter."""
        await self._publisher.publish(self.messages_of(meter))

    async def follow(self, meters: Iterable[Meter]) -> None:
        """Say all of those whose profile says otherwise now than their twins were told last.

        Twins that were told nothing of it, for want of a profile, are told once there is one.

        Raises:
            ValueError: the status of one cannot be said; its own reconcile tells why.
        """
        for meter in meters:
            owner = self._cache.owner_of(meter.device)
            is_own = meter.epoch and owner is not None and owner.uid == meter.uid
            is_told = meter.uid in self._told
            if is_own and is_told and self._told[meter.uid] != self.find_stop(meter):
                await self.publish(meter)
