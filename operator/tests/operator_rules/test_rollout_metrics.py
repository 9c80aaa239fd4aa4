"""Metrics of handovers and rollouts: what an alert asks, without the name of any meter."""

import re
from pathlib import Path
from types import SimpleNamespace

import meter_operator.__main__ as program
import pytest
import yaml
from meter_operator import http_server, rollout_metrics
from meter_operator.cluster import ConflictError
from meter_operator.desired import Key
from meter_operator.rollout_metrics import RolloutGauges, count_end
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

from .test_rollouts import Street, version

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/reference/metrics.md"
OPEN = "metertwin_handovers_open"
OLDEST = "metertwin_handover_oldest_seconds"
PAUSED = "metertwin_profile_paused"
HOUSEHOLD = {"namespace": "street", "profile": "household"}


def show(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


def ended(result):
    return show("metertwin_handovers_total", result=result) or 0


def lasted(result):
    return show("metertwin_handover_seconds_count", result=result) or 0


def states():
    found = {}
    for family in rollout_metrics.PROFILE_METERS.collect():
        found |= {row.labels["state"]: row.value for row in family.samples}
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    for gauge in (rollout_metrics.OPEN, rollout_metrics.OLDEST, rollout_metrics.PROFILE_METERS):
        gauge.clear()
    rollout_metrics.PROFILE_PAUSED.clear()
    rollout_metrics.LOADS_STOPPED.clear()


@pytest.fixture
def street():
    return Street()


async def hand_over(street, count=1):
    await street.populate(count)
    street.change_profile(twin=version("0.2.0"), rollout={"canary": 0})
    await street.step(1)
    assert len(street.under_way()) == count


def freeze(street, name):
    body = street.meter(name)
    body["status"]["handover"]["phase"] = "Frozen"
    street._touch("smartmeters", name, body)


async def test_a_handover_that_ends_is_counted_once_by_who_writes_it(street):
    await hand_over(street)
    before, durations = ended("Aborted"), lasted("Aborted")
    street.change_profile(twin=version(""))
    await street.settle("house-0")
    await street.settle("house-0")
    assert street.status("house-0")["handovers"][0]["result"] == "Aborted"
    assert ended("Aborted") - before == 1
    assert lasted("Aborted") - durations == 1
    street.restart()
    await street.step(6)
    assert ended("Aborted") - before == 1


async def test_an_end_that_another_write_has_overtaken_is_not_counted(street):
    await hand_over(street)
    before = ended("Aborted")

    def overtake(when, method, path):
        if when == "before" and path.endswith("smartmeters/house-0/status"):
            raise ConflictError(f"{method} {path}", 409, "the object has been modified")

    usual, street.cluster.fault = street.cluster.fault, overtake
    street.change_profile(twin=version(""))
    await street.reconciler.reconcile(Key("street", "house-0"))
    assert ended("Aborted") == before
    street.cluster.fault = usual
    await street.settle("house-0")
    assert ended("Aborted") - before == 1


async def test_a_handover_that_a_takeover_ends_is_counted_without_a_duration(street):
    await hand_over(street)
    before, durations = ended("TakenOver"), lasted("TakenOver")
    street.delete_pod("house-0-e1")
    street.delete_pod("house-0-e2")
    await street.settle("house-0")
    assert street.status("house-0")["handovers"][0]["result"] == "TakenOver"
    assert ended("TakenOver") - before == 1
    assert lasted("TakenOver") == durations


def test_a_takeover_without_a_handover_is_none_that_ended():
    before = ended("TakenOver")
    row = {"begunAt": "2026-01-01T00:00:00Z", "endedAt": "2026-01-01T00:00:00Z"}
    count_end({"epoch": 2, "handovers": [row | {"result": "TakenOver"}]})
    assert ended("TakenOver") == before


def test_the_duration_of_a_handover_is_from_its_begin_to_its_end():
    row = {"begunAt": "2026-01-01T00:00:00Z", "endedAt": "2026-01-01T00:01:10Z", "result": "Done"}
    before = show("metertwin_handover_seconds_sum", result="Done") or 0
    count_end({"epoch": 2})
    count_end({"handover": None, "handovers": [row]})
    assert show("metertwin_handover_seconds_sum", result="Done") - before == 70


async def test_open_handovers_are_counted_by_phase_with_the_age_of_the_oldest(street):
    gauges = RolloutGauges()
    gauges.refresh(street.cache, 0)
    assert [show(OPEN, phase=phase) for phase in rollout_metrics.PHASES] == [0, 0, 0]
    await hand_over(street, 2)
    gauges.refresh(street.cache, 100)
    gauges.refresh(street.cache, 400)
    assert show(OPEN, phase="Preparing") == 2
    assert show(OLDEST, phase="Preparing") == 300
    assert show(OLDEST, phase="Frozen") == 0
    freeze(street, "house-0")
    gauges.refresh(street.cache, 410)
    gauges.refresh(street.cache, 420)
    assert [show(OPEN, phase=phase) for phase in rollout_metrics.PHASES] == [1, 1, 0]
    assert [show(OLDEST, phase=phase) for phase in ("Preparing", "Frozen")] == [320, 10]
    freeze(street, "house-1")
    gauges.refresh(street.cache, 425)
    gauges.refresh(street.cache, 430)
    assert show(OLDEST, phase="Frozen") == 20
    for name in street.under_way():
        street.abort(name)
    gauges.refresh(street.cache, 440)
    assert [show(OPEN, phase=phase) for phase in rollout_metrics.PHASES] == [0, 0, 0]
    assert show(OLDEST, phase="Preparing") == 0


async def test_the_meters_of_a_profile_are_shown_by_state_and_add_up_to_all(street):
    gauges = RolloutGauges()
    await street.populate(5)
    street.speak("house-4", "silent")
    street.change_profile(twin=version("0.2.0"), rollout={"canary": 0, "maxConcurrent": 1})
    await street.step(1)
    await street.step(6)
    gauges.refresh(street.cache, 0)
    counts = street.profile_status()["meters"]
    assert (counts["inProgress"], counts["offline"]) == (1, 1)
    shown = states()
    assert {name: shown[name] for name in rollout_metrics.STATES} == {
        name: counts[name] for name in rollout_metrics.STATES
    }
    assert shown["waiting"] == 3
    assert sum(shown.values()) == counts["total"] == 5


async def test_a_paused_profile_is_shown_and_a_deleted_one_is_not(street):
    gauges = RolloutGauges()
    await street.populate(1)
    gauges.refresh(street.cache, 0)
    assert show(PAUSED, **HOUSEHOLD) == 0
    street.change_profile(rollout={"paused": True})
    await street.step(1)
    gauges.refresh(street.cache, 0)
    assert show(PAUSED, **HOUSEHOLD) == 1
    body = street.cache.profiles.bodies[Key("street", "household")]
    street.cache.profiles.drop(body)
    gauges.refresh(street.cache, 0)
    assert show(PAUSED, **HOUSEHOLD) is None
    assert states() == {}


async def test_a_profile_that_nobody_has_looked_at_is_not_shown(street):
    RolloutGauges().refresh(street.cache, 0)
    assert show(PAUSED, **HOUSEHOLD) is None


async def test_a_replica_that_stands_by_shows_nothing_of_handovers_and_profiles(street):
    await hand_over(street)
    process = program.Process(SimpleNamespace())
    process.cache = street.cache
    process._refresh()
    assert show(PAUSED, **HOUSEHOLD) is None
    assert show(OPEN, phase="Preparing") is None
    process.acting, process.rollouts = True, street.rollouts
    process.watches = SimpleNamespace(last_event=0)
    process.messenger = SimpleNamespace(refused={})
    process._refresh()
    assert show(PAUSED, **HOUSEHOLD) == 0
    assert show(OPEN, phase="Preparing") == 1


async def test_no_label_names_a_meter(street):
    await hand_over(street, 2)
    RolloutGauges().refresh(street.cache, 0)
    assert "house-" not in generate_latest(REGISTRY).decode()


def test_every_result_and_phase_of_the_resource_is_shown_from_zero_on(street):
    RolloutGauges().refresh(street.cache, 0)
    crd = yaml.safe_load((ROOT / "crds/smartmeters.metertwin.io.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = schema["properties"]["status"]["properties"]
    for result in fields["handovers"]["items"]["properties"]["result"]["enum"]:
        assert show("metertwin_handovers_total", result=result) is not None
    for phase in fields["handover"]["properties"]["phase"]["enum"]:
        assert show(OPEN, phase=phase) is not None


def names():
    """Return the operator's own metrics as Prometheus names them."""
    own = [*vars(http_server).values(), *vars(rollout_metrics).values()]
    families = [
        family
        for one in own
        if isinstance(one, Counter | Gauge | Histogram)
        for family in one.collect()
    ]
    return {f"{one.name}_total" if one.type == "counter" else one.name for one in families}


def test_the_page_of_the_metrics_has_each_of_them_and_no_other():
    page = PAGE.read_text().partition("## Metrics of the archive")[0]
    rows = re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
    assert len(names()) == 15
    assert set(rows) == names()
    assert len(rows) == len(set(rows))


def test_the_rules_of_the_page_ask_for_metrics_that_there_are():
    (block,) = re.findall(
        r"^```\n(apiVersion: monitoring.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    (group,) = yaml.safe_load(block)["spec"]["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(r"metertwin_\w+", rule["expr"])}
    assert asked
    assert asked <= names()
    assert {"MeterTwinRolloutPaused", "MeterTwinHandoverFrozen"} <= {
        rule["alert"] for rule in group["rules"]
    }
