"""quality: what is asked of the archive about its data, and what is printed."""

import json

import pytest

POD = {
    "metadata": {"name": "metertwin-archive-1"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
COUNTS = {"expected": 96, "inTime": 90, "late": 4, "missing": 2, "success": 0.937459, "met": False}
METER = {
    "device": "abc",
    "meter": "house-1",
    "meteringPoint": "P1",
    "day": "2026-11-02",
    "final": True,
}
PERFORMANCE = {
    "target": 0.99,
    "deadline": "08:00",
    "days": [
        {"day": "2026-11-02", "final": True, "meters": 1, "complete": 0, "silent": 0, **COUNTS},
        {"day": "2026-11-03", "final": False, "meters": 1, "complete": 1, "silent": 0, **COUNTS,
         "success": 1.0, "met": True},
    ],
    "meters": [METER | COUNTS, METER | COUNTS | {"meter": "good", "late": 0, "missing": 0}],
    "leftOut": 3,
}  # fmt: skip
DRIFT = {
    "meters": [
        {"device": "abc", "meter": "house-1", "meteringPoint": "P1", "ppm": 12.5, "steps": 2, "sets": 0,
         "refused": 1, "largestOffsetMs": -61500, "aheadSeconds": 0, "days": []}
    ],
    "leftOut": 0,
    "withoutFault": 0,
}  # fmt: skip
GAPS = {
    "register": "1-0:1.8.0*255",
    "devices": [
        {"device": "abc", "gaps": [{"first": "2026-11-02T06:00:00+01:00", "missing": 2,
         "last": "2026-11-02T06:15:00+01:00", "advance": 80, "reason": "power_down"}]}
    ],
}  # fmt: skip
FINDINGS = {
    "checks": ["spike"],
    "devices": [
        {"device": "abc", "findings": [
            {"rule": "night_zero", "version": 1, "register": "1-0:1.8.0*255", "text": "zero over 4 intervals",
             "start": "2026-11-02T02:00:00+01:00", "end": "2026-11-02T03:00:00+01:00"}]}
    ],
}  # fmt: skip
DAYS = "from=2026-11-02&to=2026-11-04"
ONE = {
    f"/v1/performance?meter=house-1&{DAYS}&limit=20": [200, PERFORMANCE],
    f"/v1/drift?meter=house-1&{DAYS}&limit=20": [200, DRIFT],
    f"/v1/gaps?meter=house-1&{DAYS}": [200, GAPS],
    f"/v1/findings?meter=house-1&{DAYS}": [200, FINDINGS],
}


@pytest.fixture
def archive(world):
    world.put("pods", "metertwin-archive-1", POD)
    world.answer(ONE)
    return world


def ask(world, *options):
    return world.run("quality", *options, "--from", "2026-11-02", "--to", "2026-11-04")


def words(text):
    return [line.split() for line in text.splitlines()]


def test_a_meter_s_quality_is_shown_in_five_parts(archive):
    done = ask(archive, "house-1")
    assert done.returncode == 0, done.stderr
    lines = words(done.stdout)
    assert ["Read", "success,", "target", "99", "%", "by", "08:00"] in lines
    assert ["2026-11-02", "93.74", "%", "missed", "1", "0", "0", "4", "2"] in lines
    assert ["2026-11-03", "100", "%", "not", "over", "1", "1", "0", "4", "2"] in lines
    assert ["2026-11-02", "house-1", "P1", "93.74", "%", "4", "2"] in lines
    assert ["…", "and", "3", "more:", "--limit"] in lines
    assert ["house-1", "P1", "12.5", "2", "1", "-61.5", "s", "0", "s"] in lines
    gap = "2026-11-02T06:00:00+01:00 2026-11-02T06:15:00+01:00 abc 2 power down"
    assert gap.split() in lines
    finding = (
        "2026-11-02T02:00:00+01:00 2026-11-02T03:00:00+01:00 1-0:1.8.0*255 night zero"
        " zero over 4 intervals"
    )
    assert finding.split() in lines
    assert "good" not in done.stdout


def test_a_fleet_is_asked_for_success_and_clocks_only(archive):
    good = PERFORMANCE | {"meters": [], "leftOut": 0}
    archive.answer(
        {
            f"/v1/performance?fleet=1&{DAYS}&limit=5": [200, good],
            f"/v1/drift?fleet=1&{DAYS}&limit=5": [200, DRIFT | {"meters": []}],
        }
    )
    done = ask(archive, "--fleet", "--limit", "5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nnone") == 2
    assert "Findings" not in done.stdout


def test_json_has_the_answers_by_their_names(archive):
    document = json.loads(ask(archive, "house-1", "-o", "json").stdout)
    assert document == {
        "performance": PERFORMANCE, "drift": DRIFT, "gaps": GAPS, "findings": FINDINGS,
    }  # fmt: skip


@pytest.mark.parametrize(
    "options", [(), ("house-1", "--fleet"), ("--point", "P1", "--feeder", "F")]
)
def test_one_subject_of_quality_is_asked_for(world, options):
    done = ask(world, *options)
    assert done.returncode == 1
    assert "one of NAME, --point, --feeder, --label and --fleet" in done.stderr
