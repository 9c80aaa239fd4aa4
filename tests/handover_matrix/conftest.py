"""Handovers on the running street: its parts as tests see them, the options, the report.

pytest tests/handover_matrix --cell 9:operator-killed --repeat 5
pytest tests/handover_matrix --all-cells          (all, as in make nightly)
"""

import dataclasses
import json
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "street")]

import demo  # noqa: E402
import long_run  # noqa: E402
from api import Api  # noqa: E402
from cells import chosen_cells, option  # noqa: E402
from watcher import Watcher  # noqa: E402

REPORT = demo.ROOT / "build/handover-matrix.json"
OPERATOR = "deployment/metertwin-operator"
SWITCH = "METERTWIN_HANDOVER"
PROFILE = "household"
ROLLOUT = {"soakSeconds": 8, "progressDeadlineSeconds": 90, "maxFailures": 10000}
USUAL_DEADLINE_S = 600
MOST_DEADLINE_S = 120
METERS = [*demo.HOUSES, *demo.BOARDS]
_REPORTED = pytest.StashKey()


def pytest_addoption(parser):
    group = parser.getgroup("handover matrix")
    group.addoption(
        "--cell", action="append", metavar="FLOW:FAULT[:esp8266]", help="only this cell"
    )
    group.addoption("--repeat", type=int, default=1, metavar="N", help="each cell N times")
    group.addoption("--all-cells", action="store_true", help="every cell, and the long tests")


def pytest_generate_tests(metafunc):
    if "cell" in metafunc.fixturenames:
        cells = chosen_cells(metafunc.config)
        metafunc.parametrize("cell", cells, ids=[str(cell) for cell in cells])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Run these last: the street has its stock twins again when the session ends, not before."""
    items.sort(key=lambda item: item.path.parent == HERE)
    if option(config, "all_cells", default=False):
        return
    skip = pytest.mark.skip(reason="long: --all-cells, as in make nightly")
    for item in items:
        if item.get_closest_marker("slow") and item.path.parent == HERE:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def handover_on():
    """The operator hands over, whatever its default is."""
    described = demo.get("deployment", "metertwin-operator")
    (container,) = described["spec"]["template"]["spec"]["containers"]
    before = next((row["value"] for row in container.get("env", []) if row["name"] == SWITCH), None)
    if before != "true":
        demo.kubectl("set", "env", OPERATOR, f"{SWITCH}=true")
        demo.kubectl("rollout", "status", OPERATOR, "--timeout=120s")
    yield
    if before != "true":
        demo.kubectl("set", "env", OPERATOR, f"{SWITCH}{'-' if before is None else '=' + before}")
        demo.kubectl("rollout", "status", OPERATOR, "--timeout=120s")


@pytest.fixture(scope="session")
def api():
    return Api()


@pytest.fixture(scope="session")
def deadline_s(street, pytestconfig):  # noqa: ARG001 - it has set the deadline
    """After how many seconds a candidate is given up; short where the profile can say so."""
    rollout = demo.get("twinprofile", PROFILE)["spec"].get("rollout", {})
    found = rollout.get("progressDeadlineSeconds", USUAL_DEADLINE_S)
    if found > MOST_DEADLINE_S and not option(pytestconfig, "all_cells", default=False):
        pytest.skip(f"a candidate is given up only after {found} s here: --all-cells")
    return found


@pytest.fixture(scope="session")
def patience(handover_on):  # noqa: ARG001 - it is on while this lives
    """The profile's handovers soak for a few seconds, where it can say so, and never pause."""
    before = demo.get("twinprofile", PROFILE)["spec"].get("rollout")
    set_rollout(ROLLOUT)
    yield
    set_rollout({name: (before or {}).get(name) for name in ROLLOUT})


def set_rollout(rollout):
    """Change the profile; a cluster whose definition has no such field leaves it out."""
    patch = json.dumps({"spec": {"rollout": rollout}})
    demo.kubectl("patch", "twinprofile", PROFILE, "--type=merge", "-p", patch)


@pytest.fixture(scope="session")
def street(patience, api):  # noqa: ARG001 - it is so while this lives
    """The street with one stock twin a house, before the first test and after the last."""
    watcher = Watcher(api, METERS)
    demo.until(lambda: all(one.meter for one in watcher.timelines.values()), "all are seen")
    bring_back()
    yield watcher
    bring_back()


def bring_back():
    """Give each house the twin of the installation, and wait for all of them."""
    patch = json.dumps({"spec": {"twin": None}})
    for device in METERS:
        demo.kubectl("patch", "smartmeter", device, "--type=merge", "-p", patch)

    def is_stock(device):
        meter = demo.get("smartmeter", device)
        assert not meter["status"].get("handover"), meter["status"]["handover"]
        assert demo.condition(meter).get("status") == "True", meter["status"]["conditions"]
        return demo.answers(device)

    for device in METERS:
        demo.until(lambda device=device: is_stock(device), f"{device} has a stock twin", 400, 1)


@pytest.fixture
def record(tmp_path):
    return lambda device: demo.Record(tmp_path, device)


@pytest.fixture
def extra():
    """Apply extra SmartMeters; they are gone afterwards."""
    made = []

    def apply(*manifests):
        made.extend(row["metadata"]["name"] for row in manifests)
        return demo.apply(*manifests)

    yield apply
    if made:
        demo.kubectl("delete", "smartmeter", "--ignore-not-found", *made)


@pytest.fixture(scope="session")
def report(pytestconfig):
    """What the cells have shown, for the summary and for people after the run."""
    rows = pytestconfig.stash.setdefault(_REPORTED, [])
    yield rows
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n")
    if option(pytestconfig, "all_cells", default=False):
        long_run.keep_cells(rows)


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(_REPORTED, [])
    if rows:
        terminalreporter.section("handover matrix")
    for row in sorted(rows, key=lambda row: row.cell):
        state = "FAILED" if row.error else row.unsuited or ("hit" if row.hit else "missed")
        terminalreporter.line(
            f"{row.cell:24} {row.device:8} {state:6} try {row.tries} {row.result:9}"
            f" {row.epochs:10} {row.seconds:6.1f} s {row.note[:60] if not row.error else ''}"
        )
