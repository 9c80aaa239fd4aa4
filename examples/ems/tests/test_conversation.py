"""A home understands what its twins say over the broker, whichever epoch speaks for the meter."""

import json

import pytest
from home_ems.conversation import Conversation
from home_ems.plan import Limit, PlanError

PRICE = {"start": "2026-06-14T17:00:00Z", "end": "2026-06-14T18:00:00Z", "price": 0.31}
PART = {
    "issued": "2026-06-14T17:00:00Z",
    "valid_until": "2026-06-14T17:10:00Z",
    "part": 1,
    "parts": 1,
    "limit": {"watts": 1000, "until": None, "event": "peak-1"},
    "events": [],
    "prices": [],
}


@pytest.fixture
def conversation():
    return Conversation("house-1", "Reader.home-1")


def hear(conversation, epoch=7, channel="plan", **changes):
    document = PART | changes
    if changes.get("part", 1) != 1:
        del document["limit"]
    topic = f"ems/to/house-1/{epoch}/Reader.home-1/{channel}"
    return conversation.take(topic, json.dumps(document).encode())


def test_it_subscribes_to_its_meter_whatever_the_epoch(conversation):
    assert conversation.filters == (
        "ems/to/house-1/+/Reader.home-1/plan",
        "ems/to/house-1/+/Reader.home-1/answer",
    )


def test_it_answers_where_the_plan_came_from(conversation):
    assert conversation.find_topic("state") is None
    assert hear(conversation).limit == Limit(1000, None)
    assert conversation.find_topic("state") == "ems/from/Reader.home-1/house-1/7/state"
    hear(conversation, 8)
    assert conversation.find_topic("override") == "ems/from/Reader.home-1/house-1/8/override"


def test_a_twin_of_before_is_not_listened_to_any_more(conversation):
    hear(conversation, 8)
    assert hear(conversation, 7) is None
    assert conversation.find_topic("state").endswith("/8/state")
    assert hear(conversation, 8, limit=None).limit is None


def test_a_plan_in_parts_counts_when_it_is_whole(conversation):
    late = PRICE | {"price": 0.4}
    assert hear(conversation, part=2, parts=2, prices=[late]) is None
    plan = hear(conversation, part=1, parts=2, prices=[PRICE])
    assert [one.price for one in plan.prices] == [0.31, 0.4]


def test_parts_of_two_plans_are_not_mixed(conversation):
    hear(conversation, part=1, parts=2, prices=[PRICE])
    later = {"issued": "2026-06-14T17:00:05Z", "parts": 2}
    assert hear(conversation, part=2, prices=[], **later) is None
    assert hear(conversation, part=1, prices=[], **later).prices == ()


def test_an_answer_is_for_people(conversation):
    assert "issued" in hear(conversation, channel="answer")


@pytest.mark.parametrize(
    "changes",
    [{"part": 0}, {"part": 2}, {"parts": 100}, {"part": "x"}, {"limit": 7}, {"prices": [7]}],
)
def test_what_is_no_plan_is_refused(conversation, changes):
    with pytest.raises(PlanError):
        hear(conversation, **changes)


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"null", b"\xff"])
def test_junk_is_refused(conversation, payload):
    with pytest.raises(PlanError):
        conversation.take("ems/to/house-1/7/Reader.home-1/plan", payload)
