"""The archive's alerts: as promtool understands them, they fire when they are to and not otherwise."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from known_metrics import find_metrics, known_metrics

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = 'namespace="metertwin-demo"'
BUSY = f'metertwin_archive_batches_postponed_total{{{NAMESPACE}, reason="busy"}}'
AWAY = f'metertwin_archive_batches_postponed_total{{{NAMESPACE}, reason="away"}}'
UP = f'metertwin_archive_database_up{{{NAMESPACE}, pod="a"}}'
OTHER_UP = f'metertwin_archive_database_up{{{NAMESPACE}, pod="b"}}'
COMMIT = f"metertwin_archive_last_commit_timestamp_seconds{{{NAMESPACE}}}"
STORED = 'metertwin_twin_entries_stored_total{namespace="street"}'
CONFLICTS = f"metertwin_archive_entries_conflicting_total{{{NAMESPACE}}}"
UPKEEP = f"metertwin_archive_upkeep_timestamp_seconds{{{NAMESPACE}}}"
EXPIRY = f"metertwin_archive_certificate_expiry_timestamp_seconds{{{NAMESPACE}}}"
FREE = f'kubelet_volume_stats_available_bytes{{{NAMESPACE}, persistentvolumeclaim="data-metertwin-postgres-0"}}'
SIZE = f'kubelet_volume_stats_capacity_bytes{{{NAMESPACE}, persistentvolumeclaim="data-metertwin-postgres-0"}}'
MINUTES = 300
RISING, STILL = "0+1x300", "7x300"


def moving(start_s=0):
    """A moment that goes with the time, as that of a commit."""
    return f"{start_s}+60x{MINUTES}"


# alert: (series with which it is silent, those with which it fires)
CASES = {
    "MeterTwinArchiveDown": ({UP: "1x300"}, {UP: "1x200"}),
    "MeterTwinArchiveDatabaseAway": (
        {UP: "0x300", AWAY: STILL}, {UP: "0x300", OTHER_UP: "0x300", AWAY: RISING},
    ),
    "MeterTwinArchiveRefusing": ({BUSY: STILL}, {BUSY: RISING}),
    "MeterTwinArchiveBehind": ({COMMIT: moving(), STORED: RISING}, {COMMIT: "600x300", STORED: RISING}),
    "MeterTwinArchiveConflicts": ({CONFLICTS: STILL}, {CONFLICTS: "0x280 3x20"}),
    "MeterTwinArchiveUpkeepFailing": ({UPKEEP: moving()}, {UPKEEP: "60x300"}),
    "MeterTwinArchiveCertificateEnds": ({EXPIRY: "864000x300"}, {EXPIRY: "400000x300"}),
    "MeterTwinArchiveVolumeNearlyFull": (
        {FREE: "20x300", SIZE: "100x300"}, {FREE: "14x300", SIZE: "100x300"},
    ),
}  # fmt: skip
SILENT_TOO = {
    "MeterTwinArchiveDatabaseAway": {UP: "0x300", OTHER_UP: "1x300", AWAY: RISING},
    "MeterTwinArchiveBehind": {COMMIT: "600x300", STORED: STILL},
}


@pytest.fixture(scope="module")
def rules(render):
    (found,) = [one for one in render("full") if one["kind"] == "PrometheusRule"]
    return found["spec"]


def run_promtool(*arguments):
    done = subprocess.run(
        [ROOT / "tools/chart/promtool", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def alerts_of(rules):
    return {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"]}


@pytest.fixture(scope="module")
def rule_file(rules, tmp_path_factory):
    path = tmp_path_factory.mktemp("alerts") / "rules.yaml"
    path.write_text(yaml.safe_dump(rules))
    return path


def test_promtool_understands_all_of_them(rule_file):
    code, said = run_promtool("check", "rules", str(rule_file))
    assert code == 0, said


@pytest.mark.timeout(120)
def test_each_fires_when_it_is_to_and_not_otherwise(rules, rule_file):
    alerts = alerts_of(rules)
    assert alerts.keys() == CASES.keys()
    tests = []
    for name, (silent, firing) in CASES.items():
        cases = [(silent, False), (firing, True)]
        if name in SILENT_TOO:
            cases.append((SILENT_TOO[name], False))
        for series, fires in cases:
            expected = [{
                "exp_labels": alerts[name]["labels"] | labels_of(name),
                "exp_annotations": alerts[name]["annotations"],
            }]  # fmt: skip
            tests.append({
                "name": f"{name} {'fires' if fires else 'is silent'}",
                "interval": "1m",
                "input_series": [{"series": one, "values": values} for one, values in series.items()],
                "alert_rule_test": [{
                    "eval_time": f"{MINUTES}m", "alertname": name, "exp_alerts": expected if fires else [],
                }],
            })  # fmt: skip
    path = rule_file.with_name("tests.yaml")
    path.write_text(yaml.safe_dump({"rule_files": [str(rule_file)], "tests": tests}))
    code, said = run_promtool("test", "rules", str(path))
    assert code == 0, said


def labels_of(name):
    """What the expression leaves of the series' labels."""
    if name == "MeterTwinArchiveVolumeNearlyFull":
        return {"namespace": "metertwin-demo", "persistentvolumeclaim": "data-metertwin-postgres-0"}
    return {"namespace": "metertwin-demo"} if name == "MeterTwinArchiveDown" else {}


def test_every_metric_is_one_of_ours_or_the_kubelets(rules):
    used = {one for rule in alerts_of(rules).values() for one in find_metrics(rule["expr"])}
    assert used
    unknown = {one for one in used - known_metrics() if not one.startswith("kubelet_volume_stats_")}
    assert unknown == set()


def test_every_alert_has_a_page_that_names_it(rules):
    for name, rule in alerts_of(rules).items():
        url = rule["annotations"]["runbook_url"]
        assert url.startswith("https://example.org/runbooks/")
        page = (ROOT / "docs/runbooks" / url.rsplit("/", 1)[1]).read_text()
        assert name in page
        for heading in ("## What it means", "## What is at stake", "## What to do"):
            assert heading in page, (name, heading)
    pages = {one.name for one in (ROOT / "docs/runbooks").glob("*.md")} - {"README.md"}
    assert pages == {
        one["annotations"]["runbook_url"].rsplit("/", 1)[1] for one in alerts_of(rules).values()
    }


def test_a_database_of_ones_own_has_no_volume_of_ours(render):
    names = [
        rule["alert"]
        for one in render("external-database", "monitoring.alerts.enabled=true")
        if one["kind"] == "PrometheusRule"
        for rule in one["spec"]["groups"][0]["rules"]
    ]
    assert names
    assert "MeterTwinArchiveVolumeNearlyFull" not in names


def test_without_the_archive_or_the_switch_there_is_none(render):
    assert not [
        one
        for one in render("default", "monitoring.alerts.enabled=true")
        if one["kind"] == "PrometheusRule"
    ]
    assert not [one for one in render("external-database") if one["kind"] == "PrometheusRule"]


def test_no_expression_has_a_name_of_another_release(rules):
    for rule in alerts_of(rules).values():
        assert not re.search(r"\{\{|\}\}", rule["expr"]), rule["expr"]
