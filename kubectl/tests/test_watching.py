"""A watch: how long it waits for what, by a clock of the test's own."""

import pytest
from kubectl_meter.errors import MeterError
from kubectl_meter.progress import Progress
from kubectl_meter.watching import API_S, Watch

AWAY = MeterError("The connection to the server was refused", field="KUBECONFIG")
GONE = MeterError('(NotFound): smartmeters.metertwin.io "house-1" not found', field="NAME")
WRONG = MeterError("it is not ready", field="status.conditions[Ready]", remedy="describe it")
DONE = Progress("runs", done=True)
PATIENCE_S = 90.0


class Cluster:
    """What each look finds, ten seconds apart; then the last for ever."""

    def __init__(self, *found):
        self.found = list(found)
        self.now_s = 1000.0

    def look(self):
        one = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(one, MeterError):
            raise one
        return one

    def sleep(self, seconds):
        self.now_s += seconds

    def watch(self):
        made = Watch(
            self.look, 10.0, again="kubectl meter upgrade", patience_s=PATIENCE_S,
            clock=lambda: self.now_s, sleep=self.sleep,
        )  # fmt: skip
        made.run(None)
        return self.now_s - 1000.0


def test_an_api_that_is_away_for_less_than_a_minute_is_told_once_and_ends_nothing(capsys):
    found = [Progress("begins"), *[AWAY] * 5, Progress("begins"), *[AWAY] * 5, DONE]
    assert Cluster(*found).watch() == 120
    lines = [line[10:] for line in capsys.readouterr().out.splitlines()]
    waits = f"waiting up to 60 s for the API: {AWAY.message}"
    assert lines == ["begins", waits, "begins", waits, "runs"]


def test_an_api_that_stays_away_ends_the_watch_with_its_error():
    cluster = Cluster(Progress("begins"), AWAY)
    with pytest.raises(MeterError) as raised:
        cluster.watch()
    assert raised.value is AWAY
    assert cluster.now_s == 1010 + API_S


def test_what_is_gone_is_not_waited_for():
    cluster = Cluster(Progress("begins"), GONE)
    with pytest.raises(MeterError) as raised:
        cluster.watch()
    assert (raised.value, cluster.now_s) == (GONE, 1010)


def test_what_is_wrong_for_too_long_ends_the_watch():
    cluster = Cluster(Progress("waits", lasting=WRONG))
    with pytest.raises(MeterError) as raised:
        cluster.watch()
    assert str(raised.value) == "it is not ready (for 90 s)"
    assert (raised.value.field, raised.value.remedy) == (WRONG.field, WRONG.remedy)
    assert cluster.now_s == 1000 + PATIENCE_S


def test_what_is_wrong_now_and_then_does_not_end_it():
    wrong = [Progress("waits", lasting=WRONG)] * 8
    assert Cluster(*wrong, Progress("serves"), *wrong, DONE).watch() == 170
