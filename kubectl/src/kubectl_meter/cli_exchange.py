"""`kubectl meter exchange`. `exchange` knows what is changed."""

import json
from datetime import UTC, datetime

import click

from kubectl_meter import exchange as rules
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import MeterError
from kubectl_meter.exchange import Exchange, Json
from kubectl_meter.options import cluster_options, examples
from kubectl_meter.twin import SMART_METERS, open_twin

_TRIES = 10
"""The operator writes a status a few times in a handover, so this many are never needed."""


def _find(cluster: Cluster, name: str, argument: str) -> Json:
    try:
        return cluster.get(SMART_METERS, name)
    except MeterError as error:
        error.field = argument if error.field == "NAME" else error.field
        raise


def _ask(cluster: Cluster, name: str, timeout: int) -> Json:
    """Return the registers: asked from the meter, or what the twin has stored last."""
    with open_twin(cluster, name) as twin:
        return twin.get("/v1/registers", live=1, timeout=timeout)


def _read_final(cluster: Cluster, name: str, timeout: int, *, live: bool) -> Json:
    """Return the final reading.

    Raises:
        MeterError: there is none, or the meter has to be asked and does not answer.
    """
    found = _ask(cluster, name, timeout)
    if live and found.get("source") != "metered":
        raise MeterError(
            f"{name} does not answer", field="--live",
            remedy="leave out --live to take the last reading that its twin has stored",
        )  # fmt: skip
    if not found.get("registers"):
        raise MeterError(
            f"the twin of {name} has no reading", field="OLD",
            remedy=f"kubectl meter status {name}",
        )  # fmt: skip
    return found


def _read_first(cluster: Cluster, name: str, timeout: int) -> Json:
    found = _ask(cluster, name, timeout)
    if found.get("source") != "metered":
        raise MeterError(
            f"{name} does not answer, so it has no first reading", field="NEW",
            remedy=f"install and connect the new device first: kubectl meter status {name}",
        )  # fmt: skip
    return found


def _write(cluster: Cluster, plan: Exchange) -> None:
    if not plan.begun:
        _change(cluster, plan.old, rules.patch_of_old(plan), "OLD")
    _change(cluster, plan.new, rules.patch_of_new(plan), "NEW")


def _change(cluster: Cluster, meter: Json, patch: Json, argument: str) -> None:
    """Patch a SmartMeter that is still as it was read; the operator may write its status.

    Raises:
        MeterError: somebody has changed it meanwhile, or the API refuses the patch.
    """
    name, found = meter["metadata"]["name"], meter
    for _ in range(_TRIES):
        if cluster.patch_as_read(SMART_METERS, name, rules.at_version(patch, found)):
            return
        found = _find(cluster, name, argument)
        if not rules.is_as_read(meter, found):
            break
    raise MeterError(
        f"{name} was changed while it was exchanged", field=argument,
        remedy=f"look at it (kubectl get smartmeter {name} -o yaml) and repeat the command",
    )  # fmt: skip


@click.command(
    epilog=examples(
        "exchange house-1 house-1b",
        "exchange house-1 house-1b -o json > house-1.json   # keep the record",
        "exchange house-1 house-1b --dry-run                # read both, change nothing",
    )
)
@click.argument("old")
@click.argument("new")
@click.option(
    "--live", is_flag=True, help="The old meter must answer; else its last reading counts."
)
@click.option("--dry-run", is_flag=True, help="Read both meters and change nothing.")
@click.option(
    "--timeout", type=click.IntRange(1, 30), default=5, show_default=True,
    help="Seconds to wait for each meter.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How to print the record.")  # fmt: skip
@cluster_options
def exchange(
    cluster: Cluster, *, old: str, new: str, live: bool, dry_run: bool, timeout: int, output: str
) -> None:
    """Swap the device of a metering point, with final and first register reading.

    NEW is the SmartMeter of the new device, connected already, with a placeholder for a metering
    point (scheme Other). It gets that of OLD, which stays with all its readings, paused, until
    you delete it. The record is printed and stored nowhere: keep it. The command can be repeated
    until it ends without an error.
    """
    plan = rules.plan_exchange(_find(cluster, old, "OLD"), _find(cluster, new, "NEW"))
    final = _read_final(cluster, old, timeout, live=live)
    first = _read_first(cluster, new, timeout)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = rules.build_protocol(plan, final, first, now)
    if not dry_run:
        _write(cluster, plan)
    text = json.dumps(record, indent=2) if output == "json" else rules.format_protocol(record)
    click.echo(text)
