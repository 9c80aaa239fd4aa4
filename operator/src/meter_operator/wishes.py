"""What a meter's twin is to be now, put together from its spec, its profile and the settings.

Neighbours: `desired` (the rules), `content` (which content of the profile), `reconciler`.
"""

from typing import Protocol

from meter_operator.content import Offer, choose_profile
from meter_operator.desired import Desired, Meter, desire
from meter_operator.handover import find_open
from meter_operator.observed import Observed
from meter_operator.plan import PROFILE_CHANGED
from meter_operator.selection import SelectionError
from meter_operator.settings import Settings


class Permits(Protocol):
    """Who says which meters may get what their profile says now (`rollouts`)."""

    def permit(self, meter: Meter) -> str:
        """Return how a meter may begin; empty if it has to wait."""

    def reserve(self, meter: Meter) -> None:
        """Note that it begins."""

    def offer(self, meter: Meter) -> Offer | None:
        """Return what its profile has for it; None where there is no profile."""


class Wishes:
    """Wishes for one meter after the other."""

    def __init__(self, settings: Settings, rollouts: Permits | None) -> None:
        """Without `rollouts` a twin is made from what its profile says now."""
        self._rollouts = rollouts
        self._image = (settings.image_repository, settings.image_version)
        if "@" in settings.twin_image:
            self._image = (settings.twin_image, settings.image_version)
        self._broker = (settings.broker_host, settings.broker_port)
        archive = (settings.archive_host, settings.archive_port)
        self._archive = archive if settings.archive_host else None

    def wish(
        self, observed: Observed, public_keys: dict[str, str], *, named: str | None = None
    ) -> Desired:
        """Return what the meter's twin is to be.

        `named`: hash of the content of its profile that was decided on, empty if that is open; None
        stands for the twin that is looked after now.

        Raises:
            SelectionError: it selects what is not offered, or there is no profile.
        """
        meter, profile = observed.meter, observed.profile
        offer = self._rollouts.offer(meter) if self._rollouts is not None else None
        if offer is not None:
            found = _find_named(observed, offer.now) if named is None else named
            profile = choose_profile(meter, observed.find_pod(meter.epoch), offer, found)
        if profile is None:
            raise SelectionError(
                "spec.profile", f"there is no TwinProfile {meter.spec['profile']!r}"
            )
        return desire(
            *(meter, profile),
            image=self._image,
            broker=self._broker,
            archive=self._archive,
            public_keys=public_keys,
        )


def _find_named(observed: Observed, now: str) -> str:
    """Return what the decision named for the candidate, or for a pod that is still to be made.

    A rollout of what the profile no longer says (`now`) is nothing to hold on to.
    On a volume a pod that does not serve may have been decided to be made again.
    """
    meter, pod = observed.meter, observed.find_pod(observed.meter.epoch)
    handover = find_open(meter.status)
    if handover is not None:
        named = handover.content_hash or now  # an older operator named none
        return "" if handover.reason == PROFILE_CHANGED and named != now else named
    if pod is None:
        return meter.content_hash if observed.newly_allocated or meter.store_claim else ""
    is_due = bool(meter.store_claim) and not pod.ready and pod.content_hash != meter.content_hash
    return meter.content_hash if is_due else ""
