"""`kubectl meter stop` and `allow`: the stop switch of a fleet's load control."""

import click

from kubectl_meter import rollout
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError, WrongUsage
from kubectl_meter.options import cluster_options, dry_run_options, examples, find_form
from kubectl_meter.subject import TWIN_PROFILES, Subject


def _find_profiles(cluster: Cluster, profile: str | None, *, everything: bool) -> list[Subject]:
    """Return the profiles that are meant.

    Raises:
        WrongUsage: not one of the two is given.
        MeterError: there is none, no right, no cluster.
    """
    if everything == (profile is not None):
        raise WrongUsage(
            "one profile is needed, or all", field="--profile, --all",
            remedy="name a TwinProfile with --profile, or give --all for those of the namespace",
        )  # fmt: skip
    names = [profile] if profile is not None else []
    if everything:
        names = [one["metadata"]["name"] for one in cluster.get(TWIN_PROFILES)["items"]]
    if not names:
        raise MeterError("there is no TwinProfile here", field="--all", remedy="see -n NAMESPACE")
    return [Subject(cluster, "TwinProfile", TWIN_PROFILES, name) for name in names]


@click.command(
    epilog=examples(
        "stop --profile household --reason 'contactors chatter, ticket 4711'",
        "stop --all",
        "stop --profile household --dry-run -o yaml",
    )
)
@click.option("--profile", metavar="PROFILE", help="The TwinProfile.")
@click.option("--all", "everything", is_flag=True, help="All TwinProfiles of the namespace.")
@click.option(
    "--reason", metavar="TEXT", default="", help="Kept with the profile for whoever asks later."
)
@dry_run_options
@cluster_options
def stop(
    cluster: Cluster, *, profile: str | None, everything: bool, reason: str, dry_run: bool,
    output: str | None,
) -> None:  # fmt: skip
    """Stop load control of all meters of a profile: release each limit, refuse new ones.

    Takes effect within seconds and lasts until `allow`, also for twins that restart. Readings,
    prices and reports go on; no twin is replaced, and nobody's supply is touched.
    """
    form, patch = find_form(output, dry_run=dry_run), rollout.stop_patch(reason)
    failed: MeterError | None = None
    for subject in _find_profiles(cluster, profile, everything=everything):
        try:
            if subject.change(subject.read(), patch, form):
                back = f"kubectl meter allow --profile {subject.name}"
                click.echo(f"TwinProfile {subject.name}: load control is stopped; to go on: {back}")
        except MeterError as error:  # the others are stopped all the same
            failed = error
    if failed is not None:
        raise failed


@click.command(epilog=examples("allow --profile household"))
@click.option("--profile", metavar="PROFILE", required=True, help="The TwinProfile.")
@dry_run_options
@cluster_options
def allow(cluster: Cluster, *, profile: str, dry_run: bool, output: str | None) -> None:
    """Permit load control of a profile again; events that go on are followed again."""
    subject = Subject(cluster, "TwinProfile", TWIN_PROFILES, profile)
    form = find_form(output, dry_run=dry_run)
    if subject.change(subject.read(), rollout.allow_patch(), form):
        click.echo(f"TwinProfile {profile}: load control is allowed")
