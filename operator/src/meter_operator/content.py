"""Which content of its profile a meter's twin is made from now. Pure.

A rollout brings what the profile says to a few meters first, and to nobody once it is stopped. A
twin that has to be made for another reason (its node is lost, or emptied) must not get it past
that: it is made from what it had, or from what the profile said when its whole fleet last had that.
Neighbours: `rollouts` (which knows both), `wishes` (which asks), `members` (who has what).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from meter_operator.desired import Json, Meter
from meter_operator.hashes import hash_profile
from meter_operator.observed import Pod
from meter_operator.selection import SelectionError
from meter_operator.tries import is_excused, list_given_up


class Offer(NamedTuple):
    """What a profile has for a meter.

    `profile`: what it says now, `now` the hash of that; `earlier`: that of what it said when its
    whole fleet last had it; `contents`: by hash what else is known of what it said; `is_proven`:
    whether the canary has served and nothing has stopped the rollout; `is_permitted`: whether this
    meter may begin now.
    """

    profile: Json
    now: str
    earlier: str = ""
    contents: Mapping[str, Json] = MappingProxyType({})
    is_proven: bool = True
    is_permitted: bool = False


def list_named(meter: Meter) -> list[str]:
    """Return the hashes of the contents that a meter's decisions name."""
    row = meter.status.get("handover")
    named = (meter.content_hash, str(row.get("contentHash") or "") if row else "")
    return [one for one in named if one]


def choose_profile(meter: Meter, pod: Pod | None, offer: Offer, named: str = "") -> Json:
    """Return the profile's spec, or what is left of an earlier one, for a meter's twin.

    What was decided holds. Without a decision, what the profile says now is for those who may
    begin, and for all once it is proven, but not for a meter on which it has failed. Else a twin
    keeps what it has, and a new one gets what the fleet had. What is not known any more, or does
    not offer what the meter selects, is no choice.

    Args:
        meter: its resource.
        pod: the pod of the active epoch.
        offer: what its profile has for it.
        named: the hash of the content from which it is made, where a decision names it.
    """
    if named and named != offer.now:
        found = _find(offer, meter, named)
        if found is not None:
            return found
    has = pod.content_hash if pod is not None else meter.content_hash
    if offer.now in {named, has} or offer.is_permitted or _is_for(meter, offer):
        return offer.profile
    kept = _find(offer, meter, has) or _find(offer, meter, offer.earlier)
    return kept if kept is not None else offer.profile


def _is_for(meter: Meter, offer: Offer) -> bool:
    """Whether what a profile says now is proven, and has not failed on this meter."""
    if not offer.is_proven:
        return False
    rows = meter.status.get("handovers") or []
    given_up = list_given_up(rows, hash_profile(meter.spec, offer.profile))
    return all(is_excused(row) for row in given_up)


def _find(offer: Offer, meter: Meter, content: str) -> Json | None:
    """Return the content of a hash, if it is known and offers what the meter selects."""
    found = offer.contents.get(content)
    try:
        if found is not None:
            hash_profile(meter.spec, found)
    except SelectionError:
        return None
    return found
