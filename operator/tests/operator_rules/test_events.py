"""Events are written behind the work: bounded, counted together, never waited for."""

import re

from meter_operator import events as module
from meter_operator.cluster import ClusterError
from meter_operator.desired import parse_meter
from meter_operator.events import Events

from .street import SPEC, Operator


def meter(name="house-1"):
    metadata = {"name": name, "namespace": "street", "uid": f"uid-{name}"}
    return parse_meter({"metadata": metadata, "spec": SPEC})


def written(operator):
    return [body for (kind, _, _), body in operator.cluster.objects.items() if kind == "events"]


async def test_equal_events_that_wait_become_one_with_a_count(operator):
    for _ in range(3):
        operator.events.add(meter(), "Serving", "house-1-e1 serves the meter")
    operator.events.add(meter(), "Takeover", "epoch 2 replaces 1: PodGone")
    await operator.events.flush()
    assert [(body["reason"], body["count"]) for body in written(operator)] == [
        ("Serving", 3),
        ("Takeover", 1),
    ]


async def test_beyond_the_bound_the_oldest_event_is_forgotten(operator, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    for number in range(4):
        operator.events.add(meter(f"house-{number}"), "Serving", "…")
    await operator.events.flush()
    names = {body["involvedObject"]["name"] for body in written(operator)}
    assert names == {"house-2", "house-3"}


async def test_an_event_that_is_refused_holds_nothing_up():
    operator = Operator()

    def refuse(when, _method, path):
        if "/events" in path and when == "before" and not operator.cluster.log:
            operator.cluster.log.append("refused")
            raise ClusterError("creating Event", 403, "forbidden")

    operator.cluster.fault = refuse
    events = Events(operator.cluster)
    events.add(meter("house-1"), "Serving", "…")
    events.add(meter("house-2"), "Serving", "…")
    await events.flush()
    assert [body["involvedObject"]["name"] for body in written(operator)] == ["house-2"]


async def test_the_name_of_an_event_fits_however_long_that_of_its_resource_is(operator):
    operator.events.add(meter("a" * 199 + "." + "b" * 53), "Serving", "…")
    await operator.events.flush()
    (body,) = written(operator)
    assert re.fullmatch(r"a{199}\.[0-9a-f]{16}", body["metadata"]["name"])


async def test_a_new_meter_tells_once_when_it_is_served(operator):
    operator.add_meter()
    await operator.settle()
    operator.set_pod("house-1-e1")
    await operator.settle()
    assert not written(operator)
    await operator.events.flush()
    assert [body["reason"] for body in written(operator)] == ["Serving"]
