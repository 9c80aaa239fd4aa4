"""`kubectl meter upgrade`, `rollback`, `pause` and `resume`. `rollout` knows what they change."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from meter_wire.names import ANNOTATION_PAUSED

from kubectl_meter import progress, rollout
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import WrongUsage
from kubectl_meter.going_back import target_of_meter, target_of_profile
from kubectl_meter.options import cluster_options, dry_run_options, examples, find_form
from kubectl_meter.rollout import Json
from kubectl_meter.subject import Subject, find_subject
from kubectl_meter.watching import Watch

INTERVAL_S = 2.0


def _watching(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--interval", type=float, default=INTERVAL_S, hidden=True),
        click.option("--timeout", type=click.IntRange(1), metavar="SECONDS",
                     help="With --watch: no longer than this; the change goes on."),
        click.option("--watch", is_flag=True,
                     help="Wait until it is done, so through the soak (soakSeconds of the profile);"
                     " exit code 1 if it is paused or has failed."),
    ):  # fmt: skip
        command = option(command)
    return command


def _check(
    *, watch: bool, timeout: int | None, dry_run: bool, output: str | None, **_: Any
) -> None:
    """Refuse options that do not go together, before anything is read.

    Raises:
        WrongUsage: they would be as if they had not been given.
    """
    if watch and dry_run:
        raise WrongUsage(
            "there is nothing to watch", field="--watch", remedy="leave out it or --dry-run"
        )
    if timeout is not None and not watch:
        raise WrongUsage(
            "nothing is waited for", field="--timeout",
            remedy="add --watch to wait until it is done, or leave out --timeout",
        )  # fmt: skip
    find_form(output, dry_run=dry_run)


def _profile(help_text: str, *, required: bool = False) -> Callable[..., Any]:
    return click.option("--profile", metavar="PROFILE", required=required, help=help_text)


@click.command(
    epilog=examples(
        "upgrade house-1 --to 0.2.0 --watch            # one meter, at once",
        "upgrade --profile household --to 0.2.0 --watch  # its fleet, in waves",
        "upgrade --profile household --to 0.2.0 --dry-run -o yaml",
        "upgrade house-1 --to ''                       # what its profile says, again",
    )
)
@click.argument("name", required=False)
@_profile("Change this TwinProfile, and so all its meters that name no version themselves.")
@click.option(
    "--to", "version", metavar="VERSION", required=True, help="The image tag of the twin."
)
@_watching
@dry_run_options
@cluster_options
def upgrade(cluster: Cluster, *, name: str | None, profile: str | None, version: str,
            **options: Any) -> None:  # fmt: skip
    """Give a meter, or all meters of a profile, another version of the twin.

    A meter's twin is replaced at once, by handover: no reading is lost. With --profile a few
    meters come first, then the fleet, as spec.rollout of the profile says.
    """
    _check(**options)
    rollout.version_patch(version)
    subject = find_subject(cluster, name, profile)
    _set_version(subject, subject.read(), version, **options)


@click.command(
    epilog=examples(
        "rollback house-1",
        "rollback --profile household --watch",
        "rollback --profile household --dry-run -o yaml",
    )
)
@click.argument("name", required=False)
@_profile("Bring this TwinProfile back to the last version that its whole fleet has run.")
@_watching
@dry_run_options
@cluster_options
def rollback(cluster: Cluster, *, name: str | None, profile: str | None, **options: Any) -> None:
    """Go back to the version before, of a meter or of all meters of a profile.

    Handovers to the version that is left are withdrawn. A rollback that is on its way already
    keeps its target. A meter has the version in its spec afterwards; `upgrade NAME --to ''` gives
    it what its profile says.
    """
    _check(**options)
    subject = find_subject(cluster, name, profile)
    body = subject.read()
    find = target_of_profile if subject.is_profile else target_of_meter
    target = find(body)
    if target.kept and not options["dry_run"]:
        text = target.version or rollout.OWN
        click.echo(f"{subject.kind} {name or profile} goes back to {text} already")
    _set_version(subject, body, target.version, **options)


def _set_version(
    subject: Subject, body: Json, version: str, *, watch: bool, dry_run: bool,
    output: str | None, timeout: int | None, interval: float,
) -> None:  # fmt: skip
    form, patch = find_form(output, dry_run=dry_run), rollout.version_patch(version)
    own = rollout.NO_OWN if dry_run else subject.find_own(version)
    if not subject.change(body, patch, form):
        return
    before = rollout.find_version(body) or _unnamed(subject)
    click.echo(f"{subject.kind} {subject.name}: {before} -> {version or _unnamed(subject)}")
    if not watch:
        _tell_own(own)
        _tell_pause(body)
        return
    _watch(subject, body, version, own, interval).run(timeout)
    click.echo("Done.")


def _watch(subject: Subject, body: Json, version: str, own: rollout.Own, interval: float) -> Watch:
    """Return the watch of a change; `body` is what was there before."""
    again = subject.command(version)
    if subject.is_profile:
        return Watch(lambda: progress.profile_progress(subject.read(), own), interval, again=again)
    ended, profile = progress.last_handover(body), subject.find_profile(body)

    def look() -> progress.Progress | None:
        found = subject.read()
        # What a profile names counts only for a meter that names nothing.
        now = profile if version else subject.find_profile(found)
        return progress.meter_progress(found, now, version, ended)

    patience_s = progress.find_patience_s(profile)
    return Watch(look, interval, again=again, patience_s=patience_s)


def _tell_own(own: rollout.Own) -> None:
    """Say who does not follow a profile; the change itself is done."""
    if own.fault is not None:
        click.echo(f"{own.fault.message}; {own.fault.remedy}")
    elif own.text:
        click.echo(f"of {own.total} meters {own.text}")


def _tell_pause(body: Json) -> None:
    """Say what to do where the change will not begin."""
    remedy = rollout.find_pause(body)
    if remedy:
        click.echo(f"paused: nothing begins until {remedy}")


def _unnamed(subject: Subject) -> str:
    return rollout.OWN if subject.is_profile else "what the profile says"


def _find_profile(cluster: Cluster, name: str | None, profile: str | None, verb: str) -> Subject:
    """Return the TwinProfile.

    Raises:
        WrongUsage: none is named, or a meter is, whose rollout nobody pauses by itself.
    """
    if name is None and profile is not None:
        return find_subject(cluster, None, profile)
    note = f"{ANNOTATION_PAUSED}=true" if verb == "pause" else f"{ANNOTATION_PAUSED}-"
    raise WrongUsage(
        f"{verb} is for a TwinProfile", field="--profile",
        remedy=f"name it with --profile; for one meter: kubectl annotate meter {name or 'NAME'}"
        f" {note}",
    )  # fmt: skip


@click.command(epilog=examples("pause --profile household"))
@click.argument("name", required=False, metavar="")
@_profile("The TwinProfile.")
@dry_run_options
@cluster_options
def pause(
    cluster: Cluster, *, name: str | None, profile: str | None, dry_run: bool, output: str | None
) -> None:
    """Let no further meter of a profile begin; what is under way goes on."""
    subject = _find_profile(cluster, name, profile, "pause")
    form = find_form(output, dry_run=dry_run)
    if subject.change(subject.read(), rollout.pause_patch(), form):
        click.echo(f"TwinProfile {profile} is paused: kubectl meter resume --profile {profile}")


@click.command(epilog=examples("resume --profile household"))
@click.argument("name", required=False, metavar="")
@_profile("The TwinProfile.")
@dry_run_options
@cluster_options
def resume(
    cluster: Cluster, *, name: str | None, profile: str | None, dry_run: bool, output: str | None
) -> None:
    """Go on with a profile that is paused; failures up to now are forgiven."""
    subject = _find_profile(cluster, name, profile, "resume")
    form, body = find_form(output, dry_run=dry_run), subject.read()
    now = cluster.find_time(subject.resource, subject.name, rollout.PROBE) or datetime.now(UTC)
    if subject.change(body, rollout.resume_patch(body, now), form):
        click.echo(f"TwinProfile {profile} goes on")
