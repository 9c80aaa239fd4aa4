"""`kubectl meter dr`: how a meter stands with its utility. Neighbour: `dr` (what is printed)."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from kubectl_meter.cluster import Cluster
from kubectl_meter.dr import dr_text, dr_view
from kubectl_meter.errors import MeterError, WrongUsage
from kubectl_meter.options import cluster_options, examples, output_option
from kubectl_meter.twin import SMART_METERS, forward_twin


def _utility_meter(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return a SmartMeter that has a utility.

    Raises:
        MeterError: it has none.
    """
    meter = cluster.get(SMART_METERS, name)
    if "utility" not in meter["spec"]:
        raise MeterError(
            f"{name} has no utility",
            field="spec.utility",
            remedy="name one in spec.utility.name; `kubectl get utilities` lists them",
        )
    return meter


@click.command(epilog=examples("dr house-1", "dr house-1 -o json"))
@click.argument("name")
@output_option("table", "json")
@cluster_options
def dr(cluster: Cluster, *, name: str, output: str) -> None:
    """Show a meter's demand response: its registration, events, what they brought, and reports.

    Times are UTC and those of this house: the random offset that its utility allows is in them.
    A row that `acts now` limits a load of the meter. What was delivered is an estimate: a baseline
    of like days less what was metered.
    """
    meter = _utility_meter(cluster, name)
    with forward_twin(cluster, meter) as twin:
        view = dr_view(meter, twin.get("/v1/dr"))
    click.echo(
        json.dumps(view, indent=2, ensure_ascii=False) if output == "json" else dr_text(view)
    )


@click.command(epilog=examples("override house-1 --for 2h", "override house-1 --end"))
@click.argument("name")
@click.option("--for", "span", metavar="SPAN", help="For how long: 30m, 2h, at most 7d.")
@click.option("--end", is_flag=True, help="End it: the house's own rules decide again.")
@cluster_options
def override(cluster: Cluster, *, name: str, span: str | None, end: bool) -> None:
    """Take a house out of the utility's events for a time, as its customer asked for.

    Events that begin in that time are answered with optOut, and limits of them are lifted at
    once; the utility is told. Prices go on.
    """
    if end == (span is not None):
        raise WrongUsage("give one of --for and --end")
    until = "" if end else _find_end(span or "")
    meter = _utility_meter(cluster, name)
    with forward_twin(cluster, meter) as twin:
        found = twin.post("/v1/ems/override", {"until": until})
    said = (
        f"takes part in no event until {found['until']}" if found["until"] else "takes part again"
    )
    click.echo(f"{name} {said}")


def _find_end(span: str) -> str:
    found = re.fullmatch(r"(\d{1,4})(m|h|d)", span)
    if found is None:
        raise WrongUsage("--for: write a span such as 30m, 2h or 1d")
    unit = {"m": "minutes", "h": "hours", "d": "days"}[found[2]]
    end = datetime.now(UTC) + timedelta(**{unit: int(found[1])})
    return end.strftime("%Y-%m-%dT%H:%M:%SZ")
