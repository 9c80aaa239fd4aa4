"""The profile builder against a small imitation of the wheel, read back by the firmware."""

import fcntl
import importlib.util
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from simulation.profile import Profile, ProfileError

PATH = Path(__file__).parents[1] / "build.py"
SPEC = importlib.util.spec_from_file_location("profiles_build", PATH)
assert SPEC is not None
assert SPEC.loader is not None
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)


def write_wheel(path: Path, times: list[str], columns: list[str] | None = None) -> None:
    loads = [f"{name}_pload" for name in build.LOADS] if columns is None else columns
    with zipfile.ZipFile(path, "w") as wheel:
        for file, names in (("LoadProfile.csv", loads), ("RESProfile.csv", build.PLANTS)):
            lines = [";".join(["time", *names])]
            lines += [
                ";".join([time, *[f"{(row % 997) / 1000:.6f}"] * len(names)])
                for row, time in enumerate(times)
            ]
            wheel.writestr(f"{build.FOLDER}/{file}", "\n".join(lines) + "\n")


def test_local_time_skips_an_hour_in_march_and_repeats_one_in_october() -> None:
    times = list(build.local_times())
    assert len(times) == 366 * 96
    assert times[0] == "01.01.2016 00:00"
    assert times[-1] == "31.12.2016 23:45"
    spring = times.index("27.03.2016 01:45")
    assert times[spring + 1] == "27.03.2016 03:00"
    assert times.count("30.10.2016 02:00") == 2
    assert times.count("30.10.2016 03:00") == times.count("30.10.2016 01:00") == 1


def test_a_built_profile_is_what_the_firmware_reads(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheel", list(build.local_times()))
    build.build(tmp_path / "wheel", tmp_path / "out")
    assert "Open Database License" in (tmp_path / "out/NOTICE").read_text()
    profile = Profile(str(tmp_path / "out/H0-A.bin"))
    assert (profile.origin_s, profile.count) == (1451602800, 35136)
    assert profile.total == sum(row % 997 * 1000 for row in range(35136))
    assert [profile.value(index) for index in (0, 5, 996, 35135, 35136)] == [
        0, 5000, 996000, 35135 % 997 * 1000, 0,
    ]  # fmt: skip


def test_profiles_that_are_there_are_not_built_again(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheel", list(build.local_times()))
    build.ensure(tmp_path / "out", tmp_path / "wheel")
    built = (tmp_path / "out/H0-A.bin").stat().st_mtime_ns
    build.ensure(tmp_path / "out", tmp_path / "no wheel")
    assert (tmp_path / "out/H0-A.bin").stat().st_mtime_ns == built


def test_a_second_builder_waits_for_the_first(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheel", list(build.local_times()))
    second: list[str | Path] = [
        sys.executable,
        str(PATH),
        tmp_path / "out",
        "--wheel",
        tmp_path / "no wheel",
    ]
    with (tmp_path / ".out.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = subprocess.Popen(second)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1)
        build.build(tmp_path / "wheel", tmp_path / "out")
    assert waiting.wait(100) == 0


def test_a_gap_in_time_is_refused(tmp_path: Path) -> None:
    times = list(build.local_times())
    del times[1000]
    write_wheel(tmp_path / "wheel", times)
    with pytest.raises(build.ProfileSourceError, match="should be"):
        build.build(tmp_path / "wheel", tmp_path / "out")
    assert not (tmp_path / "out/NOTICE").exists()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheel", [], ["H0-A_pload"])
    with pytest.raises(build.ProfileSourceError, match="H0-B_pload"):
        build.build(tmp_path / "wheel", tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"MTPF", b"XXXX" + bytes(24), struct.pack("<28s", b"MTPF")])
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(ProfileError, match=r"x\.bin"):
        Profile(str(tmp_path / "x.bin"))
