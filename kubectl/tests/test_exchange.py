"""exchange: a metering point gets another device."""

import json

import pytest

POINT = {
    "id": "541448860000000004",
    "scheme": "EAN",
    "timezone": "Europe/Brussels",
    "feeder": "f-1",
}
SPARE = {"id": "store-17", "scheme": "Other", "locality": "shelf"}


def meter(name, point, **notes):
    return {
        "metadata": {
            "name": name,
            "namespace": "demo",
            "resourceVersion": "7",
            "annotations": notes,
        },
        "spec": {"device": f"{name}-device", "profile": "household", "meteringPoint": point},
        "status": {"epoch": 1, "twin": {"pod": f"{name}-pod"}},
    }


def registers(name, source, energy):
    return {
        "device": f"{name}-device", "source": source, "time": "2026-06-14T07:30:00Z", "status": [],
        "registers": {
            "1-0:1.8.0*255": {"value": energy, "unit": "Wh"},
            "1-0:32.7.0*255": {"value": 230, "unit": "V"},
        },
    }  # fmt: skip


class Shelf:
    """Two meters of a fake cluster."""

    def __init__(self, world):
        self.world = world
        self.run = world.run
        world.put("smartmeters", "old", meter("old", POINT))
        world.put("smartmeters", "new", meter("new", SPARE))
        self.answer("old", "cached", 1_234_567)
        self.answer("new", "metered", 12)

    def answer(self, name, source, energy, **changes):
        document = registers(name, source, energy) | changes
        path = self.world.folder / f"twin.{name}-pod.json"
        path.write_text(json.dumps({"/v1/registers?live=1&timeout=5": [200, document]}))

    def patches(self):
        """Return what was written, in its order."""
        found = []
        for line in self.world.lines("calls"):
            if line.split(" ", 1)[0] == "patch":
                words = line.split(" ", 5)
                found.append((words[2], json.loads(line.split(" -p ", 1)[1])))
        return found


@pytest.fixture
def shelf(world):
    return Shelf(world)


def test_the_metering_point_moves_and_both_readings_are_told(shelf):
    done = shelf.run("exchange", "old", "new", "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    assert record["meteringPoint"] == POINT["id"]
    assert record["old"]["registers"] == {"1-0:1.8.0*255": {"value": 1_234_567, "unit": "Wh"}}
    assert record["new"]["registers"] == {"1-0:1.8.0*255": {"value": 12, "unit": "Wh"}}
    assert (record["old"]["source"], record["new"]["source"]) == ("stored", "metered")
    (first, old), (second, new) = shelf.patches()
    assert (first, second) == ("old", "new")
    point = old["spec"]["meteringPoint"]
    assert point == {"id": f"removed-{POINT['id']}", "scheme": "Other", "feeder": None,
                     "timezone": "Europe/Brussels"}  # fmt: skip
    notes = old["metadata"]["annotations"]
    assert notes["metertwin.io/replaced-by"] == "new"
    assert notes["metertwin.io/paused"] == "true"
    assert json.loads(notes["metertwin.io/metering-point-before"]) == POINT
    assert new["spec"]["meteringPoint"] == POINT | {"locality": None}
    assert json.loads(new["metadata"]["annotations"]["metertwin.io/metering-point-before"]) == SPARE
    assert old["metadata"]["resourceVersion"] == new["metadata"]["resourceVersion"] == "7"


def test_no_register_value_is_written_into_the_cluster(shelf):
    shelf.run("exchange", "old", "new")
    assert len(shelf.patches()) == 2
    assert "1234567" not in json.dumps(shelf.patches())


def test_people_see_both_readings_beside_each_other(shelf):
    done = shelf.run("exchange", "old", "new", "--dry-run")
    assert done.returncode == 0
    assert "final: old, device old-device, 2026-06-14T07:30:00Z, the last one stored" in done.stdout
    assert (
        "first: new, device new-device, 2026-06-14T07:30:00Z, asked from the meter" in done.stdout
    )
    assert shelf.patches() == []


def later(document, **changes):
    """Return a SmartMeter as it is after somebody has written it."""
    version = str(int(document["metadata"]["resourceVersion"]) + 1)
    return document | {"metadata": document["metadata"] | {"resourceVersion": version}} | changes


@pytest.mark.parametrize("name", ["old", "new"])
def test_a_status_that_the_operator_writes_meanwhile_does_not_end_it(shelf, name):
    read = meter(name, POINT if name == "old" else SPARE)
    again = later(read, status=read["status"] | {"epoch": 2})
    shelf.world.put("smartmeters", name, [read, read, again, later(again)])
    done = shelf.run("exchange", "old", "new")
    assert (done.returncode, done.stderr) == (0, "")
    versions = [p["metadata"]["resourceVersion"] for who, p in shelf.patches() if who == name]
    assert versions == ["7", "8", "9"], "what is written rests on what was read"


@pytest.mark.parametrize(("name", "field"), [("old", "OLD"), ("new", "NEW")])
@pytest.mark.parametrize("what", ["spec", "exchange"])
def test_what_somebody_else_changes_meanwhile_is_not_written_over(shelf, name, field, what):
    read = meter(name, POINT if name == "old" else SPARE)
    other = meter(name, POINT, **{"metertwin.io/replaced-by": "third"})
    changed = {"spec": read["spec"] | {"profile": "farm"}} if what == "spec" else {}
    other["spec"] = read["spec"]
    other["metadata"]["resourceVersion"] = "8"
    shelf.world.put("smartmeters", name, [read, read, later(read, **changed) if changed else other])
    done = shelf.run("exchange", "old", "new")
    assert done.returncode == 1
    assert "was changed while it was exchanged" in done.stderr
    assert field in done.stderr
    assert [who for who, _ in shelf.patches()].count(name) == 1, "and that one was refused"


def test_what_was_broken_off_in_the_middle_is_gone_on_with(shelf):
    notes = {"metertwin.io/replaced-by": "new",
             "metertwin.io/metering-point-before": json.dumps(POINT)}  # fmt: skip
    removed = {"id": f"removed-{POINT['id']}", "scheme": "Other"}
    shelf.world.put("smartmeters", "old", meter("old", removed, **notes))
    done = shelf.run("exchange", "old", "new", "-o", "json")
    assert json.loads(done.stdout)["meteringPoint"] == POINT["id"]
    ((name, patch),) = shelf.patches()
    assert (name, patch["spec"]["meteringPoint"]["id"]) == ("new", POINT["id"])


def test_what_was_done_already_is_done_once_more_and_forgets_no_placeholder(shelf):
    notes = {"metertwin.io/replaced-by": "new",
             "metertwin.io/metering-point-before": json.dumps(POINT)}  # fmt: skip
    removed = {"id": f"removed-{POINT['id']}", "scheme": "Other"}
    shelf.world.put("smartmeters", "old", meter("old", removed, **notes))
    shelf.world.put("smartmeters", "new", meter("new", POINT))
    done = shelf.run("exchange", "old", "new", "-o", "json")
    assert json.loads(done.stdout)["meteringPoint"] == POINT["id"]
    ((name, patch),) = shelf.patches()
    assert (name, patch["spec"]["meteringPoint"]) == ("new", POINT)
    assert "annotations" not in patch["metadata"], "the metering point is not what it had before"


def test_an_exchange_is_undone_the_other_way_round_when_the_notes_are_taken_away(shelf):
    """As the how-to says: `kubectl annotate` of the old one, then `exchange NEW OLD`."""
    before = {"metertwin.io/metering-point-before": json.dumps(POINT)}
    removed = {"id": f"removed-{POINT['id']}", "scheme": "Other", "timezone": "Europe/Brussels"}
    shelf.world.put("smartmeters", "old", meter("old", removed, **before))
    spare = {"metertwin.io/metering-point-before": json.dumps(SPARE)}
    shelf.world.put("smartmeters", "new", meter("new", POINT, **spare))
    shelf.answer("old", "metered", 1_234_567)
    done = shelf.run("exchange", "new", "old")
    assert (done.returncode, done.stderr) == (0, "")
    (first, left), (second, got) = shelf.patches()
    assert (first, second) == ("new", "old")
    assert left["metadata"]["annotations"]["metertwin.io/replaced-by"] == "old"
    assert got["spec"]["meteringPoint"] == POINT


USED = [
    ("the arguments are swapped", SPARE, POINT, {}, "spec.meteringPoint.scheme",
     "kubectl meter exchange new old"),
    ("another metering point is in use", POINT, {"id": "1234567890123", "scheme": "MPAN"}, {},
     "spec.meteringPoint.scheme", "scheme Other"),
    ("a scheme that is left out is EAN", POINT, {"id": POINT["id"]}, {},
     "spec.meteringPoint.scheme", "scheme Other"),
    ("it was replaced itself", POINT, SPARE, {"metertwin.io/replaced-by": "third"},
     "metadata.annotations[metertwin.io/replaced-by]",
     "kubectl annotate meter new metertwin.io/replaced-by- metertwin.io/paused-"),
    ("it is paused", POINT, SPARE, {"metertwin.io/paused": "true"},
     "metadata.annotations[metertwin.io/paused]", "kubectl annotate meter new metertwin.io/paused-"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("point", "spare", "notes", "field", "remedy"), [r[1:] for r in USED], ids=[r[0] for r in USED]
)
def test_a_device_in_use_gets_no_metering_point(shelf, point, spare, notes, field, remedy):
    shelf.world.put("smartmeters", "old", meter("old", point))
    shelf.world.put("smartmeters", "new", meter("new", spare, **notes))
    done = shelf.run("exchange", "old", "new")
    assert done.returncode == 1
    assert f"field:  NEW, {field}\n" in done.stderr
    assert remedy in done.stderr
    assert shelf.patches() == []


def test_after_an_interruption_a_device_that_got_another_metering_point_is_left_alone(shelf):
    notes = {"metertwin.io/replaced-by": "new",
             "metertwin.io/metering-point-before": json.dumps(POINT)}  # fmt: skip
    removed = {"id": f"removed-{POINT['id']}", "scheme": "Other"}
    shelf.world.put("smartmeters", "old", meter("old", removed, **notes))
    shelf.world.put("smartmeters", "new", meter("new", {"id": "1234567890123", "scheme": "MPAN"}))
    assert shelf.run("exchange", "old", "new").returncode == 1
    assert shelf.patches() == []


@pytest.mark.parametrize(
    ("prepare", "words", "field", "text"),
    [
        (lambda _: None, ("old", "old"), "NEW", "itself"),
        (lambda _: None, ("old", "nobody"), "NEW", "nobody"),
        (lambda _: None, ("nobody", "new"), "OLD", "nobody"),
        (lambda shelf: shelf.answer("new", "cached", 12), ("old", "new"), "NEW", "first reading"),
        (lambda _: None, ("old", "new", "--live"), "--live", "does not answer"),
        (lambda shelf: shelf.answer("old", "cached", 1, registers={}), ("old", "new"), "OLD", "no reading"),
        (
            lambda shelf: shelf.world.put(
                "smartmeters", "old", meter("old", SPARE, **{"metertwin.io/replaced-by": "third"})
            ),
            ("old", "new"), "OLD", "third",
        ),
    ],
    ids=["itself", "no new one", "no old one", "new is silent", "old must answer", "nothing stored", "exchanged already"],
)  # fmt: skip
def test_nothing_is_changed_when_something_is_missing(shelf, prepare, words, field, text):
    prepare(shelf)
    done = shelf.run("exchange", *words)
    assert done.returncode == 1
    assert text in done.stderr
    assert field in done.stderr
    assert shelf.patches() == []
