"""Which content of its profile a meter's twin is made from now. Pure.

A rollout brings what the profile says to a few meters first, and to nobody once it is stopped. A
twin that has to be made for another reason (its node is lost, or emptied) must not get it past
that: it is made from what the profile said when its whole fleet last had it, the *earlier* content.
Neighbours: `rollouts` (which knows both), `wishes` (which asks), `members` (who has what).
"""

from typing import NamedTuple

from meter_operator.desired import Json, Meter, hash_json, hash_profile
from meter_operator.handover import is_excused, list_given_up
from meter_operator.observed import Pod
from meter_operator.selection import SelectionError

CONTENT_FIELDS = ("applications", "engines")
TWIN_FIELDS = ("version", "image", "resources")


class Offer(NamedTuple):
    """What a profile has for a meter.

    `profile`: what it says now; `earlier`: what it said when its whole fleet last had that, None
    where this is the same or not known; `is_proven`: whether the canary has served and nothing has
    stopped the rollout; `is_permitted`: whether this meter may begin now.
    """

    profile: Json
    earlier: Json | None = None
    is_proven: bool = True
    is_permitted: bool = False


def take_content(profile: Json) -> Json:
    """Return all in a profile's spec that any twin may have from it."""
    twin = profile.get("twin") or {}
    listed = {name: profile[name] for name in CONTENT_FIELDS if profile.get(name)}
    return listed | {"twin": {name: twin[name] for name in TWIN_FIELDS if twin.get(name)}}


def hash_content(profile: Json) -> str:
    """Return the hash of all in a profile's spec that any twin may have from it."""
    content = take_content(profile)
    return hash_json([{name: content[name] for name in content if name != "twin"}, content["twin"]])


def choose_profile(meter: Meter, pod: Pod | None, offer: Offer, named: str = "") -> Json:
    """Return the profile's spec, or its earlier content, from which a meter's twin is made.

    What was decided holds. Without a decision a twin keeps what it has; what the profile says now
    is for those who may begin, and for all once it is proven, but not for a meter on which it has
    failed. A meter that selects what the earlier content does not offer has no choice.

    Args:
        meter: its resource.
        pod: the pod of the active epoch.
        offer: what its profile has for it.
        named: the hash of what the twin has from its profile, where a decision names it.
    """
    if offer.earlier is None:
        return offer.profile
    try:
        now, before = (hash_profile(meter.spec, one) for one in (offer.profile, offer.earlier))
    except SelectionError:
        return offer.profile
    if named in {now, before}:
        return offer.profile if named == now else offer.earlier
    if offer.is_permitted or now in {meter.profile_hash, pod.profile_hash if pod else ""}:
        return offer.profile
    given_up = list_given_up(meter.status.get("handovers") or [], now)
    is_for_all = offer.is_proven and all(is_excused(row) for row in given_up)
    return offer.profile if is_for_all else offer.earlier
