"""Debian's versions are part of an image's key, are asked once a day, and are exactly unpacked.

`mmdebstrap` is played by a small program that answers from a file; what Debian answers in truth is
tried by each build.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1]
KEYS = """
import json, build, recipes
print(json.dumps({name: build.content_hash(recipe.sources, recipes.debian_parts(recipe))
                  for name, recipe in recipes.RECIPES.items()}))
"""
SETTINGS = {"openssl": "METERTWIN_OPENSSL", "sqlite3": "METERTWIN_SQLITE"}
IMAGES = {
    "twin",
    "twin-next",
    "twin-signed",
    "operator",
    "operator-next",
    "mosquitto",
    "archive",
    "postgres",
    "firmware",
    "firmware-esp8266",
    "utility",
    "ems",
}
TWINS = {"twin", "twin-next", "twin-signed"}
OPERATORS = {"operator", "operator-next"}
PLAYED = """#!/bin/sh
echo "$*" >> "$PLAYED/calls"
if [ -e "$PLAYED/silent" ]; then echo "E: nobody answers" >&2; exit 100; fi
for argument; do
  case "$argument" in --extract-hook=download*) cp "$PLAYED/answer" "${argument##* }" ;; esac
  last=$argument
done
case "$last" in "$PLAYED"/*) mkdir "$last" ;; esac
"""
ANSWER = """# python
Inst libsqlite3-0 (3.46.1-7+deb13u2 Debian:13.7/stable [amd64])
Inst libssl3t64 (3.5.7-1~deb13u3 Debian-Security:13/stable-security [amd64])
Inst python3 (3.13.5-1 Debian:13.7/stable [amd64]) []
# mosquitto
Inst mosquitto (2.0.21-1 Debian:13.7/stable [amd64])
# postgres
Inst postgresql-17 (17.12-0+deb13u1 Debian:13.7/stable [amd64])
# micropython
Inst micropython (1.25.0-1 Debian:13.7/stable [amd64])
# strip
Inst binutils (2.44-3 Debian:13.7/stable [amd64])
# compiler
Inst gcc (4:14.2.0-1 Debian:13.7/stable [amd64])
# openssl
Have 3.5.7-1~deb13u2
Have 3.5.7-1~deb13u3
# sqlite3
Have 3.46.1-7+deb13u2
"""


class Debian:
    """What mmdebstrap answers, what it was asked, and the cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        program = folder / "bin/mmdebstrap"
        program.write_text(PLAYED)
        program.chmod(0o755)
        self.says(ANSWER)

    def says(self, answer: str) -> None:
        (self.folder / "answer").write_text(answer)

    def falls_silent(self) -> None:
        (self.folder / "silent").touch()

    def ages(self, seconds: float) -> None:
        (file,) = (self.folder / "cache/debian").glob("*.json")
        listing = json.loads(file.read_text())
        listing["read_s"] = time.time() - seconds
        file.write_text(json.dumps(listing))

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    @property
    def looks(self) -> int:
        """How often Debian's lists were read."""
        return sum("--include=base-files " in call for call in self.calls)

    def run(self, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        settings = {
            "PYTHONPATH": str(TOOL),
            "PYTHONDONTWRITEBYTECODE": "1",
            "METERTWIN_CACHE": str(self.folder / "cache"),
            **dict.fromkeys(SETTINGS.values(), ""),
            "PLAYED": str(self.folder),
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}",
        }
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, **settings, **environment},
        )

    def ask(self, code: str, **environment: str) -> str:
        done = self.run(code, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def keys(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.ask(KEYS))
        return found


@pytest.fixture
def debian(tmp_path: Path) -> Debian:
    return Debian(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        pytest.param(
            "(3.13.5-1 ",
            "(3.13.5-2 ",
            {*TWINS, *OPERATORS, "archive", "utility", "ems"},
            id="Python",
        ),
        pytest.param("mosquitto (2.0.21-1", "mosquitto (2.0.21-2", {"mosquitto"}, id="Mosquitto"),
        pytest.param("17.12-0+deb13u1", "17.13-0+deb13u1", {"postgres"}, id="PostgreSQL"),
        pytest.param("(1.25.0-1 ", "(1.25.0-2 ", {"firmware"}, id="MicroPython"),
        pytest.param("Have 3.5.7-1~deb13u3", "Have 3.5.7-1~deb13u4", TWINS, id="a source"),
        pytest.param("Have 3.46.1-7+deb13u2", "Have 3.46.1-8", TWINS, id="another source"),
        pytest.param("gcc (4:14.2.0-1", "gcc (4:14.2.0-2", TWINS, id="the twin's compiler"),
        pytest.param(
            "binutils (2.44-3", "binutils (2.44-4", {*TWINS, "archive", "utility"}, id="strip"
        ),
        pytest.param("# strip", "Inst libnew (1 D)\n# strip", {"firmware"}, id="one package more"),
        pytest.param("", "", set(), id="nothing changed"),
    ],
)
def test_a_package_of_another_version_makes_another_image(
    debian: Debian, old: str, new: str, changed: set[str]
) -> None:
    before = debian.keys()
    assert set(before) == IMAGES
    debian.says(ANSWER.replace(old, new, 1) if old else ANSWER)
    debian.ages(86401)
    after = debian.keys()
    assert {name for name in IMAGES if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("age_s", "looks"),
    [
        pytest.param(86000, 1, id="less than a day: not asked again"),
        pytest.param(86401, 2, id="more than a day: asked again"),
        pytest.param(-60, 2, id="from the future: asked again"),
    ],
)
def test_lists_are_read_once_a_day(debian: Debian, age_s: float, looks: int) -> None:
    debian.keys()
    debian.ages(age_s)
    debian.keys()
    assert debian.looks == looks


def test_force_reads_the_lists_whatever_their_age(debian: Debian) -> None:
    before = debian.keys()
    debian.says(ANSWER.replace("2.0.21-1", "2.0.21-2"))
    debian.ask("import debian; debian.refresh()")
    assert debian.keys()["mosquitto"] != before["mosquitto"]
    assert debian.looks == 2


def test_without_debian_the_older_answer_is_used_and_said(debian: Debian) -> None:
    before = debian.keys()
    debian.ages(86401)
    debian.falls_silent()
    done = debian.run(KEYS)
    assert json.loads(done.stdout) == before
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert "nobody answers" in line


def test_a_forced_look_that_fails_leaves_the_answer_there(debian: Debian) -> None:
    before = debian.keys()
    debian.falls_silent()
    assert debian.run("import debian; debian.refresh()").returncode == 1
    assert debian.keys() == before


def test_without_debian_and_without_an_answer_the_build_ends_in_one_line(debian: Debian) -> None:
    debian.falls_silent()
    done = debian.run("import sys, build; sys.argv[1:] = ['mosquitto']; sys.exit(build.main())")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines == [
        "Debian: reading its lists",
        "error: Debian's lists of packages could not be read (E: nobody answers)",
    ]


def test_exactly_the_versions_of_the_key_are_unpacked(debian: Debian) -> None:
    debian.ask("import rootfs; rootfs.unpacked('python')")
    assert (
        "--include=libsqlite3-0=3.46.1-7+deb13u2,libssl3t64=3.5.7-1~deb13u3,python3=3.13.5-1 "
        in debian.calls[-1]
    )


def test_another_version_is_another_tree_and_the_same_one_is_unpacked_once(debian: Debian) -> None:
    unpack = "import rootfs; print(rootfs.unpacked('mosquitto'))"
    trees = [debian.ask(unpack), debian.ask(unpack)]
    debian.says(ANSWER.replace("2.0.21-1", "2.0.21-2"))
    debian.ages(86401)
    trees.append(debian.ask(unpack))
    assert trees[0] == trees[1] != trees[2]
    assert sum("--include=mosquitto=" in call for call in debian.calls) == 2


@pytest.mark.parametrize(
    ("source", "own"), [("openssl", "3.5.7-1~deb13u3"), ("sqlite3", "3.46.1-7+deb13u2")]
)
@pytest.mark.parametrize(
    ("had", "setting", "chosen", "said"),
    [
        pytest.param(["older", "own"], "", "own", "", id="newest"),
        pytest.param(["99.9-1", "99.10-1"], "", "99.10-1", "", id="by Debian's order, not ABC"),
        pytest.param(["older"], "", "", "keep Debian's", id="older: Debian's own stays"),
        pytest.param(["older"], "older", "older", "lack", id="older and wanted"),
        pytest.param([], "older", "", "keep Debian's", id="none"),
    ],
)
def test_a_library_is_never_built_from_an_older_source_than_debians_own(
    debian: Debian, source: str, own: str, had: list[str], setting: str, chosen: str, said: str
) -> None:
    versions = {"own": own, "older": f"{own}~1", "": ""}
    rows = "".join(f"Have {versions.get(one, one)}\n" for one in had)
    sections = {"openssl": "Have 3.5.7-1~deb13u3\n", "sqlite3": "Have 3.46.1-7+deb13u2\n"}
    sections[source] = rows
    answer = ANSWER.split("# openssl", maxsplit=1)[0]
    debian.says(answer + "".join(f"# {name}\n{text}" for name, text in sections.items()))
    code = "import libraries; print(*map(libraries.source_version, libraries.LIBRARIES), sep=',')"
    done = debian.run(code, **{SETTINGS[source]: setting})
    built = dict(zip(("openssl", "sqlite3"), done.stdout.strip().split(","), strict=True))
    assert built.pop(source) == versions.get(chosen, chosen), done.stderr
    assert all(built.values()), "one library's source says nothing of the other"
    warned = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warned) == bool(said)
    assert all(said in line and own in line for line in warned)


def test_a_rebuild_of_debians_library_is_of_the_same_source(debian: Debian) -> None:
    code = "from libraries import LIBRARIES, own_version\n"
    code += "print(own_version(LIBRARIES[0], ['libssl3t64=3.5.7-1~deb13u3+b1']))"
    assert debian.ask(code) == "3.5.7-1~deb13u3"
