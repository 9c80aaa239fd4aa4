"""Rules of the example application, and that a twin finds it by its entry point."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(EXAMPLE / "src"))

from base_load import BaseLoad  # noqa: E402
from meter_twin.application import Answer, Context, Query, ReadingStored, Record  # noqa: E402
from meter_twin.option_schema import apply_schema  # noqa: E402
from meter_wire.entries import parse_entry  # noqa: E402
from meter_wire.obis import parse_code  # noqa: E402
from meter_wire.portable.entry import encode_reading, encode_register  # noqa: E402

DAY_S = 20_000 * 86400
ASK = (
    "from meter_twin.application import Context; from meter_twin.registry import build_applications;"
    "print(list(build_applications({'base-load': {}}, Context('d', 'p', 'UTC', 60))))"
)


def new() -> BaseLoad:
    return BaseLoad(apply_schema(BaseLoad.option_schema, {}, "o"), Context("d", "p", "UTC", 60))


def reading(time_s: int, power_w: int) -> ReadingStored:
    register = encode_register(parse_code("1-0:1.7.0*255"), power_w)
    return ReadingStored(b"A" * 8, 1, parse_entry(encode_reading(0, time_s, 0, 1, [register])))


def lowest(application: BaseLoad, *readings: ReadingStored) -> dict[int, int]:
    effects = [effect for one in readings for effect in application.handle(one, 0)]
    return {one.time_s: one.body["lowest"] for one in effects if isinstance(one, Record)}


def test_each_day_keeps_its_lowest_power() -> None:
    powers = [(60, 300), (120, 80), (180, 900), (86400 + 60, 200)]
    found = lowest(new(), *[reading(DAY_S + at, power) for at, power in powers])
    assert found == {DAY_S: 80, DAY_S + 86400: 200}


def test_a_roof_that_feeds_the_house_is_no_base_load() -> None:
    assert lowest(new(), reading(DAY_S + 60, 0), reading(DAY_S + 120, 250)) == {DAY_S: 250}


def test_a_successor_continues_with_the_exported_state() -> None:
    old, successor = new(), new()
    lowest(old, reading(DAY_S + 60, 80))
    successor.import_state(1, old.export_state(1))
    assert lowest(successor, reading(DAY_S + 120, 90)) == {}
    with pytest.raises(ValueError, match="damaged"):
        successor.import_state(1, b"[1]")


def test_the_query_answers_with_the_days() -> None:
    (answer,) = new().handle(Query("base-load", {}), DAY_S)
    assert isinstance(answer, Answer)
    assert answer.ranges["days"].series == "day"


def test_a_twin_finds_the_application_once_it_is_installed(tmp_path: Path) -> None:
    package = tmp_path / "base_load-0.1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: base-load\nVersion: 0.1.0\n")
    declared = (EXAMPLE / "pyproject.toml").read_text()
    line = next(one for one in declared.splitlines() if one.startswith("base-load = "))
    points = f"[metertwin.applications]\n{line.replace(chr(34), '')}\n"
    (package / "entry_points.txt").write_text(points)
    path = [str(tmp_path), str(EXAMPLE / "src"), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {ASK}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "['base-load']", done.stderr
