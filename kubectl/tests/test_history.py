"""history: what is asked of the archive, and what is printed of its answer."""

import csv
import io
import subprocess
import sys

import pytest
from kubectl_meter.archive_forms import flatten
from kubectl_meter.errors import MeterError
from kubectl_meter.plotting import check_plot, write_plot

POD = {
    "metadata": {"name": "metertwin-archive-1"},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
DAY = {
    "start": "2026-11-02T00:00:00+01:00", "end": "2026-11-03T00:00:00+01:00", "value": 96000,
    "quality": "metered", "reason": "", "readings": 96, "expected": 96, "flags": [],
}  # fmt: skip
MISSING = DAY | {
    "start": DAY["end"], "end": "2026-11-04T00:00:00+01:00", "value": None, "quality": "missing",
    "reason": "missing_snapshot", "readings": 90, "flags": ["power_down"],
}  # fmt: skip
ANSWER = {
    "register": "1-0:1.8.0*255", "unit": "Wh", "scaler": 0, "every": "1d", "zone": "Europe/Berlin",
    "devices": [{"device": "abc", "meter": "house-1", "meteringPoint": "P1", "undatedReadings": 0,
                 "repeatedReadings": 0, "buckets": [DAY, MISSING]}],
}  # fmt: skip
ASKED = "/v1/history?meter=house-1&register=1.8.0&from=2026-11-02&every=1d"


@pytest.fixture
def archive(world):
    world.put("pods", "metertwin-archive-1", POD)
    world.answer({ASKED: [200, ANSWER]})
    return world


def ask(world, *options):
    return world.run("history", "house-1", "--from", "2026-11-02", "--every", "1d", *options)


def test_a_row_shows_what_is_missing_and_why(archive):
    done = ask(archive)
    assert done.returncode == 0, done.stderr
    head, first, second = done.stdout.splitlines()
    assert head.split() == ["FROM", "TO", "DEVICE", "VALUE", "QUALITY", "NOTE"]
    assert "96 000 Wh" in first.replace("\u2009", " ").replace("\u202f", " ")
    assert first.endswith("metered")
    note = "- missing missing snapshot, 6 of 96 missing, power_down"
    assert " ".join(second.split()).endswith(note)


def test_csv_has_a_line_a_bucket_and_nothing_for_a_missing_value(archive):
    done = ask(archive, "-o", "csv")
    head, first, second = csv.reader(io.StringIO(done.stdout))
    assert first[head.index("value")] == "96000"
    assert second[head.index("value")] == ""
    assert second[head.index("note")].endswith("power_down")


def test_json_is_the_answer_of_the_archive(archive):
    assert '"meteringPoint": "P1"' in ask(archive, "-o", "json").stdout


def test_a_value_with_a_scaler_is_in_the_unit_that_is_printed(archive):
    bucket = {"start": DAY["start"], "end": DAY["end"], "least": 49900, "mean": 50012, "largest": 50100,
              "readings": 1, "expected": 1, "flags": []}  # fmt: skip
    answer = ANSWER | {
        "unit": "Hz",
        "scaler": -3,
        "devices": [ANSWER["devices"][0] | {"buckets": [bucket]}],
    }
    archive.answer({ASKED: [200, answer]})
    (_, row) = csv.reader(io.StringIO(ask(archive, "-o", "csv").stdout))
    assert row[3:5] == ["50.012", "Hz"]


@pytest.mark.parametrize(
    "options", [(), ("house-1", "--point", "P1"), ("--point", "P1", "--device", "abc")]
)
def test_one_subject_is_asked_for(world, options):
    done = world.run("history", *options)
    assert done.returncode == 1
    assert "one of NAME, --point, --device, --label and --fleet" in done.stderr


def test_without_a_ready_replica_the_error_says_what_to_do(world):
    done = ask(world)
    assert done.returncode == 1
    assert "no replica of the archive is ready" in done.stderr
    assert "archive.enabled" in done.stderr


def test_what_the_archive_refuses_is_said_with_the_option(archive):
    fault = {"field": "from", "message": "is not a time", "remedy": "write 2026-11-01"}
    archive.answer({ASKED: [400, {"error": fault}]})
    done = ask(archive)
    assert done.returncode == 1
    assert "--from is not a time" in done.stderr
    assert "write 2026-11-01" in done.stderr


TOTAL = {"start": DAY["start"], "end": DAY["end"], "value": 5000, "quality": "partial", "expected": 3,
         "known": 2, "estimated": 1}  # fmt: skip
TOTALS = {key: one for key, one in ANSWER.items() if key != "devices"} | {
    "meters": 3, "buckets": [TOTAL, TOTAL | {"value": None, "quality": "missing", "known": 0}]
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["-l", "feeder=F1"], "feeder=F1"),
        (["--label", "street=north"], "label=street%3Dnorth"),
        (["--fleet"], "fleet=1"),
    ],
)
def test_a_sum_of_many_says_how_many_it_lacks(archive, options, asked):
    path = f"/v1/totals?{asked}&register=1.8.0&every=1h&namespace=homes"
    archive.answer({path: [200, TOTALS]})
    done = archive.run("history", *options, "-n", "homes")
    assert done.returncode == 0, done.stderr
    head, first, second = done.stdout.splitlines()
    assert head.split() == ["FROM", "TO", "VALUE", "QUALITY", "NOTE"]
    assert first.endswith("1 of 3 meters missing, 1 estimated")
    assert " ".join(second.split()).endswith("- missing 3 of 3 meters missing, 1 estimated")


def test_the_demand_maximum_is_printed_with_its_time(archive):
    bucket = {"start": DAY["start"], "end": DAY["end"], "power": 2800, "at": "2026-11-02T18:15:00+01:00",
              "known": 95, "periods": 96}  # fmt: skip
    answer = ANSWER | {"unit": "W", "devices": [{"device": "abc", "buckets": [bucket]}]}
    archive.answer({ASKED.replace("history", "demand"): [200, answer]})
    row = ask(archive, "--demand").stdout.splitlines()[1]
    assert row.endswith("at 2026-11-02T18:15:00+01:00, 1 of 96 quarter hours missing")
    done = archive.run("history", "--fleet", "--demand")
    assert done.returncode == 1
    assert "--demand" in done.stderr


@pytest.mark.parametrize(
    ("suffix", "begin"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_a_picture_is_drawn_beside_what_is_printed(archive, tmp_path, suffix, begin):
    picture = tmp_path / f"house{suffix}"
    done = ask(archive, "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    assert "metered" in done.stdout
    assert picture.read_bytes().startswith(begin)


def test_a_missing_value_is_a_gap_of_the_picture(tmp_path):
    picture = tmp_path / "gap.svg"
    write_plot(picture, "title", ANSWER, flatten("history", ANSWER))
    assert "1 of 2 missing" in picture.read_text().replace("-->", "")
    write_plot(picture, "title", TOTALS, flatten("totals", TOTALS))
    with pytest.raises(MeterError, match="cannot be written"):
        write_plot(tmp_path / "none" / "x.png", "title", ANSWER, [])


def test_another_suffix_is_refused_before_anything_is_asked(world):
    done = ask(world, "--plot", "house.bmp")
    assert done.returncode == 1
    assert ".png" in done.stderr


def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MeterError) as error:
        check_plot(tmp_path / "x.png")
    assert "kubectl-meter[plot]" in error.value.remedy


def test_matplotlib_is_loaded_for_pictures_alone():
    text = "import sys, kubectl_meter.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0
