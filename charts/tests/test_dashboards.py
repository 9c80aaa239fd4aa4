"""Dashboards are JSON that Grafana's sidecar finds, and ask for metrics that there are."""

import json

from known_metrics import find_metrics, known_metrics

ON = "monitoring.dashboards.enabled=true"
OPERATOR_LIBRARY = {"controller_runtime_reconcile_total", "workqueue_depth"}


def dashboards(manifests):
    return {
        one["metadata"]["name"]: json.loads(text)
        for one in manifests
        if one["kind"] == "ConfigMap" and "grafana_dashboard" in one["metadata"]["labels"]
        for text in one["data"].values()
    }


def test_both_are_there_and_the_archives_only_with_an_archive(render):
    assert dashboards(render("full")).keys() == {
        "metertwin-dashboard-archive",
        "metertwin-dashboard-fleet",
    }
    assert dashboards(render("default", ON)).keys() == {"metertwin-dashboard-fleet"}
    assert dashboards(render("default")) == {}


def test_every_metric_is_there(render):
    found = dashboards(render("full"))
    for name, one in found.items():
        used = {
            metric
            for panel in one["panels"]
            for target in panel["targets"]
            for metric in find_metrics(target["expr"])
        }
        assert len(used) > 8, name
        unknown = {
            one
            for one in used - known_metrics() - OPERATOR_LIBRARY
            if not one.startswith("kubelet_")
        }
        assert unknown == set(), name


def test_all_metrics_of_the_archive_are_shown(render):
    text = json.dumps(dashboards(render("full"))["metertwin-dashboard-archive"])
    ours = {one for one in known_metrics() if one.startswith("metertwin_archive_")}
    ours -= {"metertwin_archive_commit_seconds_sum", "metertwin_archive_commit_seconds_count"}
    assert {one for one in ours if one not in text} == set()


def test_panels_have_ids_and_places_of_their_own(render):
    for one in dashboards(render("full")).values():
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in one["panels"]]
        assert len(set(places)) == len({panel["id"] for panel in one["panels"]}) == len(places)
