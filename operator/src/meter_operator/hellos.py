"""What devices say: opened with their key, believed within bounds, answered at a pace.

A hello is authentic when the meter's own key signed it, but a meter may be in foreign hands, and
what it says raises a floor that never falls. So it may use up neither the numbers nor the cluster.
No I/O; time is an argument. Neighbour: `messenger`, which hears and answers.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from meter_wire.owner_record import (
    OwnerHello,
    OwnerRecord,
    claimed_device,
    parse_owner_hello,
    parse_owner_record,
)
from meter_wire.portable.keys import derive_key
from meter_wire.portable.tlv import RemoteProtocolError

from meter_operator.desired import Meter
from meter_operator.fleet import Fleet

# A cluster that was restored from a backup is behind by what was decided since: a few.
MOST_AHEAD = 1 << 16
ANSWER_S = 5.0
TAKEOVER_S = 600.0
KEY_VERSIONS = 8
# Terms count the operator's restarts. With these bounds a twin in foreign hands takes a year and
# more to use up the numbers.
TERMS_AHEAD = 1 << 10
TERM_PAUSE_S = 10.0
Order = tuple[int, int]
"""Term and counter of a control record: a gate takes none that is lower than one before."""
NEVER_S = float("-inf")


class FarAheadError(ValueError):
    """A hello or record names an epoch or counter that no restored cluster explains."""


def check_near(device: str, meter: Meter | None, epoch: int, counter: int) -> None:
    """Refuse what is more than `MOST_AHEAD` above status; without a resource, above zero.

    Raises:
        FarAheadError: it is.
    """
    known = (meter.highest_epoch, meter.owner_counter) if meter else (0, 0)
    if epoch > known[0] + MOST_AHEAD or counter > known[1] + MOST_AHEAD:
        raise FarAheadError(f"{device}: epoch {epoch}, counter {counter}; status has {known}")


def open_hello(fleet: Fleet, meter: Meter, payload: bytes) -> OwnerHello:
    """Return a meter's hello.

    A meter that knows the counter of status, but other epochs, heard a decision that status has
    lost (design rule 4). It refuses another record of that counter, so its hello names the next.

    Raises:
        ValueError: it names another device.
        RemoteProtocolError: it is not authentic.
    """
    if claimed_device(payload) != meter.device:
        raise ValueError("hello: names another device")
    key = fleet.meter_key(meter.device, meter.key_version)
    hello = parse_owner_hello(payload, derive_key(key, "hello", meter.device))
    known = (meter.owner_counter, meter.epoch, meter.highest_epoch)
    if hello.owner_counter == known[0] > 0 and (hello.floor, hello.highest) != known[1:]:
        return replace(hello, owner_counter=hello.owner_counter + 1)
    return hello


def open_record(fleet: Fleet, device: str, key_version: int, payload: bytes) -> OwnerRecord:
    """Return the broker's copy of an owner record.

    Raises:
        RemoteProtocolError: it is not authentic.
    """
    key = fleet.meter_key(device, key_version)
    return parse_owner_record(payload, derive_key(key, "owner", device))


def open_orphan(fleet: Fleet, device: str, payload: bytes) -> OwnerRecord:
    """Return the record of a device without a resource, so with an unknown key version.

    Raises:
        RemoteProtocolError: it is not authentic.
    """
    for version in range(1, KEY_VERSIONS):
        with contextlib.suppress(RemoteProtocolError):
            return open_record(fleet, device, version, payload)
    return open_record(fleet, device, KEY_VERSIONS, payload)


class Waiting(NamedTuple):
    """A hello that is answered later."""

    from_s: float
    hello: OwnerHello


class HelloPace:
    """Per device one answer in `ANSWER_S`, and one raised floor, so one takeover, in `TAKEOVER_S`.

    The newest hello that comes too early waits; an older one is not missed, its nonce is void.
    """

    def __init__(self) -> None:
        """Begin with nothing answered; a new process allows each device one of both at once."""
        self._answered: dict[str, float] = {}
        self._raised: dict[str, float] = {}
        self._waiting: dict[str, Waiting] = {}

    def admit(self, hello: OwnerHello, now_s: float, *, raises: bool) -> bool:
        """Whether to answer now; if not, the hello waits. `raises`: it would raise the floor."""
        device = hello.device
        from_s = self._answered.get(device, NEVER_S) + ANSWER_S
        if raises:
            from_s = max(from_s, self._raised.get(device, NEVER_S) + TAKEOVER_S)
        self._waiting.pop(device, None)
        if now_s < from_s:
            self._waiting[device] = Waiting(from_s, hello)
            return False
        self._answered[device] = now_s
        if raises:
            self._raised[device] = now_s
        return True

    def take_due(self, now_s: float) -> list[OwnerHello]:
        """Return the hellos that have waited long enough, and forget what no longer counts."""
        due = [row.hello for row in self._waiting.values() if row.from_s <= now_s]
        for hello in due:
            del self._waiting[hello.device]
        for table, pause_s in ((self._answered, ANSWER_S), (self._raised, TAKEOVER_S)):
            for device in [d for d, at_s in table.items() if at_s + pause_s <= now_s]:
                del table[device]
        return due


class TermWitness:
    """Twins that remember more than this operator can say: the cluster was restored from a backup.

    A higher term: the Lease is of before. Or our own term with a higher counter than the meter's:
    the Lease came to the same number once more, the status is of before. Their gates would refuse
    every word of this operator, so its term has to rise above theirs. A twin may be in foreign
    hands too, so only within bounds.
    """

    def __init__(self, raise_above: Callable[[int], None]) -> None:
        """`raise_above` is told which term is to be exceeded."""
        self._raise_above = raise_above
        self._raised_s = NEVER_S

    def hear(self, theirs: Order, ours: Order, now_s: float) -> None:
        """Take the term and counter that a twin's state names; `ours`: the highest we can say."""
        if not ours < theirs or theirs[0] > ours[0] + TERMS_AHEAD:
            return
        if now_s < self._raised_s + TERM_PAUSE_S:
            return
        self._raised_s = now_s
        self._raise_above(theirs[0])
