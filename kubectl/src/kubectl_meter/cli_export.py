"""`kubectl meter export`. `export` writes the file, `deletion` knows what a deletion waits for."""

import pathlib
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from kubectl_meter.cluster import Cluster
from kubectl_meter.deletion import ANNOTATION_TAKEN, Deletion, build_patch, find_deletion
from kubectl_meter.errors import MeterError
from kubectl_meter.export import KINDS, Summary, format_time, write_export
from kubectl_meter.options import cluster_options, examples
from kubectl_meter.twin import API_PORT, SMART_METERS, Twin, find_pod

Json = dict[str, Any]
ASK_S = 10
INTERVAL_S = 2.0
LATE = timedelta(seconds=60)
_WITHOUT = "--without-meter"


def _progress(text: str) -> None:
    """Show how far it is, in place, on a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)


def _ask(twin: Twin) -> tuple[datetime | None, str]:
    """Return the meter's own time, None with the reason if it does not answer with one."""
    try:
        found = twin.get("/v1/registers", live=1, timeout=ASK_S)
    except MeterError as error:
        if error.field != "path":
            raise
        found = {}  # it did not answer, and no application has cached registers
    if found.get("source") != "metered":
        return None, f"does not answer ({found.get('live') or 'meter_offline'})"
    return (datetime.fromisoformat(found["time"]), "") if found["time"] else (None, "has no time")


def _holds(twin: Twin, moment: datetime) -> bool:
    """Whether the twin has stored something stamped then or later, and all that came before it."""
    marks = {row["incarnation"]: row["stored"] for row in twin.get("/v1/status")["marks"]}
    for kind in KINDS:
        found = twin.get(f"/v1/{kind}", since=format_time(moment), limit=1)[kind]
        if any(entry["seq"] <= marks.get(entry["incarnation"], 0) for entry in found):
            return True
    return False


def _wait_for_ring(
    twin: Twin, meter: Json, deletion: Deletion | None, *, without: bool
) -> datetime | None:
    """Wait until the twin has what the meter's ring holds; return what its last entry has to be.

    Raises:
        MeterError: the meter does not answer, or its reading did not come.
    """
    spec, name = meter["spec"], twin.name
    if deletion is not None and _holds(twin, deletion.until):
        return deletion.until
    if without:
        return None
    now, why = _ask(twin)
    if now is None:
        raise MeterError(
            f"{name} {why}: what only the meter itself has would not be in the file",
            field=_WITHOUT,
            remedy=f"bring it back (kubectl meter status {name}), or take what its twin has stored"
            f" with {_WITHOUT}",
        )
    period_s = int(spec.get("capturePeriodSeconds", 900))
    last = datetime.fromtimestamp(now.timestamp() // period_s * period_s, UTC)
    until = deletion.until if deletion is not None else last
    due = last if last >= until else last + timedelta(seconds=period_s)
    spread = timedelta(seconds=int(spec.get("reportSpreadSeconds", 0)))
    latest_s = time.monotonic() + (max(due - now, timedelta()) + spread + LATE).total_seconds()
    while not _holds(twin, until):
        if time.monotonic() >= latest_s:
            raise MeterError(
                f"the reading of {format_time(due)} did not come", field=_WITHOUT,
                remedy=f"kubectl meter status {name}; {_WITHOUT} takes what is stored",
            )  # fmt: skip
        _progress(f"waiting for the meter's reading of {format_time(due)} …")
        time.sleep(INTERVAL_S)
    return until


def _check_twin(twin: Twin, meter: Json) -> None:
    """Refuse a twin that is not the active one any more."""
    status = twin.get("/v1/status")
    if status.get("epoch") != meter["status"].get("epoch"):
        raise MeterError(
            f"the meter has another twin by now than that of epoch {status.get('epoch')}",
            field="status.epoch", remedy="run it again",
        )  # fmt: skip


def _describe(path: pathlib.Path, summary: Summary, meter: Json) -> None:
    """Say what is in the file, and what is not."""
    last = f", the last of {format_time(summary.newest)}" if summary.newest else ""
    click.echo(f"{path}: {summary.readings} readings, {summary.events} events{last}")
    for hole in summary.holes:
        numbers = f"{hole['first']} to {hole['last']} of {hole['incarnation']}"
        click.echo(f"  the twin never had numbers {numbers}: {hole['reason']}")
    if summary.conflicts:
        click.echo(f"  not in it: {summary.conflicts} conflicting entries in quarantine")
    if meter["spec"].get("registers"):
        click.echo("  only the registers of spec.registers are in it")


def _note(cluster: Cluster, meter: Json, deletion: Deletion, begun: datetime) -> None:
    """Tell the operator that the readings are taken.

    Raises:
        MeterError: the meter has another twin by now, or the right is missing.
    """
    name = meter["metadata"]["name"]
    now = find_deletion(cluster.get(SMART_METERS, name))
    if now != deletion:
        raise MeterError(
            "the meter got another twin, or was let go, while its readings were taken",
            field="status.epochId", remedy="run it again with another file",
        )  # fmt: skip
    patch = build_patch(deletion, begun)
    try:
        cluster.patch(SMART_METERS, name, patch)
    except MeterError as error:
        note = patch["metadata"]["annotations"][ANNOTATION_TAKEN]
        if error.remedy and not error.message.startswith("(Forbidden)"):
            raise
        error.field = f"metadata.annotations[{ANNOTATION_TAKEN}]"
        error.remedy = (
            "the file is complete; whoever may patch SmartMeters (role metertwin-meter-admin) runs:"
            f" kubectl annotate meter {name} --overwrite '{ANNOTATION_TAKEN}={note}'"
        )
        raise
    click.echo(f"The deletion of {name} goes on.")


@click.command(
    epilog=examples(
        "export house-1 --out house-1.jsonl",
        "export house-1 --out house-1.jsonl --without-meter    # the meter itself is gone",
    )
)
@click.argument("name")
@click.option(
    "--out", metavar="FILE", required=True, help="A new file, for you only (mode 0600).",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
)  # fmt: skip
@click.option(
    _WITHOUT, is_flag=True, help="Take what the twin has stored though the meter does not answer."
)
@cluster_options
def export(cluster: Cluster, *, name: str, out: pathlib.Path, without_meter: bool) -> None:
    """Write all that a twin has stored to a file, and let a waiting deletion go on.

    FILE gets a JSON object a line: the readings, then the events, as `readings -o json` and
    `events -o json` print them. It is there only when it is complete: each number of the meter is
    in it, or in a hole that the twin names.

    A SmartMeter with `spec.deletionPolicy: Wait` stays after `kubectl delete` until this was done.
    The meter is asked first, and its next reading is waited for (a capture period at most), so
    that nothing from before the deletion is missing; then the SmartMeter and its twin go. Of a
    meter that is not being deleted nothing is changed.
    """
    if out.exists():
        raise MeterError(f"{out} exists already", field="--out", remedy="name a new file")
    meter = cluster.get(SMART_METERS, name)
    deletion = find_deletion(meter)
    begun = datetime.now(UTC)
    with cluster.port_forward(find_pod(meter), API_PORT) as port:
        twin = Twin(name, port)
        _check_twin(twin, meter)
        until = _wait_for_ring(twin, meter, deletion, without=without_meter)
        summary = write_export(twin, out, until, _progress)
    _progress("")
    _describe(out, summary, meter)
    if deletion is not None:
        _note(cluster, meter, deletion, begun)
    elif meter["metadata"].get("deletionTimestamp"):
        click.echo(f"The deletion of {name} does not wait for it (spec.deletionPolicy).")
    else:
        click.echo(f"{name} is not being deleted; nothing was changed.")
