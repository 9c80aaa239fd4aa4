"""What a command of `cli_rollout` changes, a meter or a profile: read, and patched or printed."""

import json
from typing import NamedTuple

import click
from meter_wire.names import GROUP

from kubectl_meter import rollout
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import WrongUsage
from kubectl_meter.rollout import Json
from kubectl_meter.twin import SMART_METERS

TWIN_PROFILES = f"twinprofiles.{GROUP}"


class Subject(NamedTuple):
    """What is changed: one meter, or a profile and so all its meters."""

    cluster: Cluster
    kind: str
    resource: str
    name: str

    @property
    def is_profile(self) -> bool:
        """Whether it is a profile."""
        return self.kind == "TwinProfile"

    def command(self, version: str) -> str:
        """Return the command that asks for a version and watches; the same however often."""
        who = f"--profile {self.name}" if self.is_profile else self.name
        return f"kubectl meter upgrade {who} --to {version or repr('')} --watch"

    def read(self) -> Json:
        """Return the resource."""
        return self.cluster.get(self.resource, self.name)

    def find_profile(self, meter: Json) -> Json | None:
        """Return the profile of a meter, None if there is none."""
        return self.cluster.find(TWIN_PROFILES, meter["spec"]["profile"])

    def find_own(self, version: str) -> rollout.Own:
        """Return the meters of a profile that name a version themselves."""
        if not self.is_profile:
            return rollout.NO_OWN
        meters = self.cluster.get(SMART_METERS)["items"]
        return rollout.find_own(meters, self.name, version)

    def change(self, body: Json, patch: Json, output: str | None) -> bool:
        """Apply a patch, or print it for `output` and return False."""
        if output is not None:
            document = rollout.manifest(self.kind, body, patch)
            text = rollout.format_yaml(document)
            click.echo(json.dumps(document, indent=2) if output == "json" else text)
            return False
        self.cluster.patch(self.resource, self.name, patch)
        return True


def find_subject(cluster: Cluster, name: str | None, profile: str | None) -> Subject:
    """Return what is to be changed.

    Raises:
        WrongUsage: not one of the two is named.
    """
    if (name is None) == (profile is None):
        raise WrongUsage(
            "one meter or one profile is needed",
            field="NAME, --profile",
            remedy="name a SmartMeter, or --profile with the TwinProfile of a fleet",
        )
    if profile is not None:
        return Subject(cluster, "TwinProfile", TWIN_PROFILES, profile)
    assert name is not None
    return Subject(cluster, "SmartMeter", SMART_METERS, name)
