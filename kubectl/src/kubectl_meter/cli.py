"""The command line: options, help with examples, exit codes. Neighbours do the work."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from kubectl_meter import __version__
from kubectl_meter.cli_audit import audit
from kubectl_meter.cli_dr import dr, override
from kubectl_meter.cli_exchange import exchange
from kubectl_meter.cli_export import export
from kubectl_meter.cli_history import history
from kubectl_meter.cli_order import calendar, order, sign_calendar
from kubectl_meter.cli_provision import provision
from kubectl_meter.cli_quality import quality
from kubectl_meter.cli_rollout import pause, resume, rollback, upgrade
from kubectl_meter.cli_stop import allow, stop
from kubectl_meter.cli_token import token
from kubectl_meter.cluster import Cluster
from kubectl_meter.errors import WrongUsage
from kubectl_meter.handovers import handovers_table, handovers_view
from kubectl_meter.judgement import check_window, find_fault, has_reading
from kubectl_meter.options import EPILOG, Program, cluster_options, examples, output_option
from kubectl_meter.status import fleet_table, fleet_view, meter_view, meter_view_text
from kubectl_meter.tables import (
    check_codes,
    events_table,
    only_registers,
    readings_csv,
    readings_table,
    registers_table,
)
from kubectl_meter.twin import SMART_METERS, open_twin


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(__version__, prog_name="kubectl-meter")
@click.option("--no-color", is_flag=True, help="No colours (also: the variable NO_COLOR).")
@click.pass_context
def program(context: click.Context, no_color: bool) -> None:
    """Read smart meters through their twins, upgrade twins, and provision devices.

    NAME is a SmartMeter: `kubectl get meters` lists them. Everything goes through kubectl, with
    your own kubeconfig and rights; the variable KUBECTL names another binary.
    """
    if no_color:
        context.color = False


def _since(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "--until", metavar="TIME", help="End, not included; now if left out."
        )(command)
        return click.option(
            "--since", metavar="TIME", default=default, show_default=True,
            help="Begin: RFC 3339 (2026-01-31T12:00:00Z), a span back from now (90s, 1h, 7d), "
            "or all: also what has no time.",
        )(command)  # fmt: skip

    return decorate


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


@program.command(epilog=examples("read house-1", "read house-1 --live", "read house-1 -o json"))
@click.argument("name")
@click.option("--live", is_flag=True, help="Ask the meter now instead of the twin's last reading.")
@click.option(
    "--timeout", type=click.IntRange(1, 30), default=5, show_default=True,
    help="Seconds to wait for the meter with --live.",
)  # fmt: skip
@click.option("--code", help="Only this register, a full OBIS code such as 1-0:1.8.0*255.")
@output_option("table", "json")
@cluster_options
def read(
    cluster: Cluster, *, name: str, live: bool, timeout: int, code: str | None, output: str
) -> None:
    """Print the registers of a meter: value, unit, age, and whether cached or asked now."""
    query: dict[str, str | int | None] = {"code": code}
    if live:
        query.update(live=1, timeout=timeout)
    with open_twin(cluster, name) as twin:
        document = twin.get("/v1/registers", **query)
    if output == "json":
        _print_json(document)
    elif has_reading(document):
        click.echo(registers_table(document))
    fault = find_fault(document, name, live=live, timeout_s=timeout)
    if fault is not None:
        raise fault


@program.command(
    epilog=examples(
        "readings house-1 --since 1h -o json",
        "readings house-1 --since 2026-01-31T00:00:00Z --until 2026-02-01T00:00:00Z -o csv",
        "readings house-1 --code '1-0:1.8.1*255' --code '1-0:1.8.2*255'",
    )
)
@click.argument("name")
@_since("1h")
@click.option(
    "--code", "codes", metavar="CODE", multiple=True,
    help="Only this register, a full OBIS code; may be given several times.",
)  # fmt: skip
@output_option("table", "wide", "json", "csv")
@cluster_options
def readings(
    cluster: Cluster,
    *,
    name: str,
    since: str,
    until: str | None,
    codes: tuple[str, ...],
    output: str,
) -> None:
    """List the readings that the twin has stored, oldest first.

    A table shows energy, power and voltage; `-o wide` all registers. JSON is a list of objects with
    `incarnation`, `seq`, `time` (RFC 3339, UTC), `status` and `registers` (OBIS code to value and
    unit).
    """
    check_codes(codes)
    found = _collect(cluster, name, "readings", since, until)
    found = [only_registers(reading, codes) for reading in found]
    if output == "json":
        _print_json(found)
    elif output == "csv":
        click.echo(readings_csv(found), nl=False)
    else:
        click.echo(readings_table(found, wide=output == "wide" or bool(codes)))


@program.command(epilog=examples("events house-1 --since 7d", "events house-1 -o json"))
@click.argument("name")
@_since("24h")
@output_option("table", "json")
@cluster_options
def events(cluster: Cluster, *, name: str, since: str, until: str | None, output: str) -> None:
    """List the events of a meter: power, clock, tamper, voltage dips, relay, firmware."""
    found = _collect(cluster, name, "events", since, until)
    if output == "json":
        _print_json(found)
    else:
        click.echo(events_table(found))


def _collect(
    cluster: Cluster, name: str, kind: str, since: str, until: str | None
) -> list[dict[str, Any]]:
    """Return all entries of a window; a long list shows on a terminal how far it is."""
    found: list[dict[str, Any]] = []
    progress = sys.stderr.isatty()
    begin = None if since == "all" else since
    check_window(begin, until, datetime.now(UTC))
    with open_twin(cluster, name) as twin:
        for entry in twin.entries(kind, begin, until):
            found.append(entry)
            if progress and len(found) % 1000 == 0:
                click.echo(f"\r{len(found)} {kind} …", err=True, nl=False)
    if progress and len(found) >= 1000:  # noqa: PLR2004 - one page
        click.echo("\r" + " " * 40 + "\r", err=True, nl=False)
    return found


@program.command(epilog=examples("status", "status -A", "status house-1", "status house-1 -o json"))
@click.argument("name", required=False)
@click.option("-A", "--all-namespaces", is_flag=True, help="The meters of every namespace.")
@output_option("table", "json")
@cluster_options
def status(cluster: Cluster, *, name: str | None, all_namespaces: bool, output: str) -> None:
    """Say how all meters are, or how one meter and its link are."""
    if name is None:
        meters = cluster.get(SMART_METERS, *(["-A"] if all_namespaces else []))["items"]
        if output == "json":
            _print_json([fleet_view(meter) for meter in meters])
        else:
            click.echo(fleet_table(meters, namespaces=all_namespaces))
        return
    if all_namespaces:
        raise WrongUsage("-A lists all meters", field="NAME", remedy="leave one of them out")
    meter = cluster.get(SMART_METERS, name)
    link: dict[str, Any] | None = None
    if meter.get("status", {}).get("epoch"):
        with open_twin(cluster, name) as twin:
            link = twin.get("/v1/status")
    view = meter_view(meter, link)
    if output == "json":
        _print_json(view)
    else:
        click.echo(meter_view_text(view))


@program.command(epilog=examples("handovers house-1", "handovers house-1 -o json"))
@click.argument("name")
@output_option("table", "json")
@cluster_options
def handovers(cluster: Cluster, *, name: str, output: str) -> None:
    """List how a meter's twin was replaced: the last five times, and the one under way.

    COMMIT: whole seconds until the new twin was the meter's; before that nothing changes for
    anybody. SECONDS: until the old twin could go, so with the soak (soakSeconds of the profile).
    """
    rows = handovers_view(cluster.get(SMART_METERS, name))
    if output == "json":
        _print_json(rows)
    else:
        click.echo(handovers_table(rows))


for command in (
    provision, upgrade, rollback, pause, resume, exchange, export, dr, override, stop, allow,
):  # fmt: skip
    program.add_command(command)
for command in (sign_calendar, order, calendar, history, quality, token, audit):
    program.add_command(command)


def main() -> None:
    """Run; errors name field and remedy and end with exit code 1 (2 for wrong usage)."""
    program(prog_name="kubectl meter")
