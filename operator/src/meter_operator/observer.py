"""Puts together what the operator sees of one meter: from the cache, and the recipients' keys.

Neighbours: `observed` (what comes of it), `reconciler` (who asks).
"""

from functools import partial

from meter_operator.cache import Cache
from meter_operator.cluster import Cluster
from meter_operator.desired import Key, Meter
from meter_operator.fleet import Fleet
from meter_operator.handover import find_open
from meter_operator.observed import Observed, Witness
from meter_operator.words import open_words

PUBLIC_KEY_DIGITS = 64


class Observer:
    """Looks at meters."""

    def __init__(self, cache: Cache, cluster: Cluster, fleet: Fleet) -> None:
        """Keep the parts."""
        self._cache = cache
        self._cluster = cluster
        self._fleet = fleet

    def observe(
        self, meter: Meter, public_keys: dict[str, str], *, newly_allocated: bool
    ) -> Observed:
        """Return everything that a decision about a meter is made from."""
        older = []
        for other in self._cache.meters_of(meter.device):
            if other.uid == meter.uid:
                break
            older.append(f"{other.key.namespace}/{other.key.name}")
        policy = meter.spec.get("dataPolicy") or {}
        wanted = [row["publicKeySecret"] for row in policy.get("recipients") or []]
        profile = self._cache.profiles.specs.get(Key(meter.key.namespace, meter.spec["profile"]))
        pods, states = self._cache.pods_of(meter), self._cache.states.get(meter.device, {})
        if meter.status.get("handover") or len(pods) > 1:  # else nobody's word is asked for
            keys = partial(self._fleet.meter_key, meter.device)
            states = open_words(meter, states, keys)
        return Observed(
            meter=meter,
            profile=profile,
            older_twins_of_device=tuple(older),
            missing_secrets=tuple(name for name in wanted if name not in public_keys),
            pods=pods,
            states=states,
            witness=self._cache.witnesses.get(meter.device, Witness()),
            newly_allocated=newly_allocated,
            leaving=self._cache.leaving.get(meter.key, ""),
            has_utility=meter.utility in self._cache.utilities.specs,
        )

    async def read_public_keys(self, meter: Meter) -> dict[str, str]:
        """Return the recipients' keys by the name of their Secret; a wrong one is none.

        Raises:
            ClusterError: the API refused.
        """
        found = {}
        for row in (meter.spec.get("dataPolicy") or {}).get("recipients") or []:
            name = row["publicKeySecret"]
            data = await self._cluster.read_secret(meter.key.namespace, name) or {}
            text = data.get("publicKey", b"").decode(errors="replace").strip().lower()
            if len(text) == PUBLIC_KEY_DIGITS and not set(text) - set("0123456789abcdef"):
                found[name] = text
        return found


def find_newest(meter: Meter) -> int:
    """Return the epoch of the twin that was decided on last."""
    handover = find_open(meter.status)
    return handover.epoch if handover is not None else meter.epoch
