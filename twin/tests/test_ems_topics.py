"""What a home's energy management is told when, and how much of it is heard."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.demand_response.ems_plan import build_plan
from meter_twin.ems_topics import (
    MOST_MESSAGES,
    MOST_OCTETS,
    PERIOD_MS,
    RENEW_MS,
    REST_MS,
    Allowance,
    PlanCourse,
    divide,
    find_refusal,
)

HEAD = {"issued": "2026-06-14T17:00:00Z", "valid_until": "2026-06-14T17:10:00Z"}
LIMIT = {"watts": 1000, "until": "2026-06-14T18:00:00Z", "event": "peak-1"}
PRICE = {
    "start": "2026-06-14T17:00:00Z",
    "end": "2026-06-14T18:00:00Z",
    "price": 0.31,
    "unit": "EUR/kWh",
}
FIELDS = '"stopped":false,"limit":null,"limits":{"import":null,"export":null},"charge":null,"dispatch":null,'
NOW = 1_000_000


def make_plan(limit=None, events=(), prices=(), **changes):
    """Return a plan as the twin builds it, with other contents."""
    plan = build_plan(None, (), (), 0) | HEAD
    return plan | {"limit": limit, "events": list(events), "prices": list(prices)} | changes


def test_a_short_plan_is_one_message():
    plan = make_plan(LIMIT, [{"id": "peak-1"}], [PRICE])
    (message,) = divide(plan)
    assert json.loads(message) == plan | {"part": 1, "parts": 1}


def test_an_empty_plan_is_a_message_too():
    assert [json.loads(one)["limit"] for one in divide(make_plan())] == [None]


def test_the_largest_plan_comes_in_a_few_parts():
    plan = make_plan(LIMIT, [{"id": f"event-{n}", "x": "y" * 120} for n in range(8)], [PRICE] * 96)
    messages = divide(plan)
    assert 8 <= len(messages) <= 10
    assert join(messages) == plan


def test_what_is_said_of_the_whole_house_and_a_stop_are_part_of_it():
    limits = {"import": LIMIT, "export": None}
    charge = {"value": 80, "unit": "%", "relative": False, "until": None, "event": "storm"}
    plan = make_plan(limits=limits, charge=charge, stopped=True)
    assert join(divide(plan)) == plan


@pytest.mark.parametrize("change", [{"stopped": True}, {"limits": {"import": LIMIT, "export": None}},
                                    {"charge": {"value": 80}}, {"dispatch": {"value": 1}}])  # fmt: skip
def test_whatever_changes_in_a_plan_is_told_at_once(change):
    course = PlanCourse()
    assert course.find_due(make_plan(), NOW)
    assert course.find_due(make_plan(**change), NOW + REST_MS)


def test_fields_that_do_not_fit_together_come_in_parts_and_one_that_fits_none_is_left_out():
    long = {"event": "x" * 900}
    plan = make_plan(long, limits=long, charge=long, dispatch={"event": "x" * MOST_OCTETS})
    messages = divide(plan)
    assert max(map(len, messages)) <= MOST_OCTETS
    assert join(messages) == {name: plan[name] for name in plan if name != "dispatch"}


def join(messages):
    parts = [json.loads(one) for one in messages]
    assert [one["part"] for one in parts] == list(range(1, len(parts) + 1))
    assert {one["parts"] for one in parts} == {len(parts)}
    assert {(one["issued"], one["valid_until"]) for one in parts} == {tuple(HEAD.values())}
    rows = {name: [row for one in parts for row in one[name]] for name in ("events", "prices")}
    fields = [
        (name, value)
        for one in parts
        for name, value in one.items()
        if name not in (*HEAD, *rows, "part", "parts")
    ]
    assert len(dict(fields)) == len(fields), "each is said once"
    return HEAD | dict(fields) | rows


TEXT = st.text(
    st.characters(min_codepoint=32, exclude_characters='"\\', exclude_categories=["Cs"]),
    max_size=256,
)
ROWS = st.lists(st.fixed_dictionaries({"id": TEXT}), max_size=12)


@given(st.one_of(st.none(), st.fixed_dictionaries({"event": TEXT})), ROWS, ROWS)
def test_every_part_fits_and_nothing_is_lost(limit, events, prices):
    messages = divide(make_plan(limit, events, prices))
    assert max(map(len, messages)) <= MOST_OCTETS
    assert join(messages) == make_plan(limit, events, prices)


@pytest.mark.parametrize("over", [0, 1])
def test_a_row_that_fills_more_than_a_message_is_left_out(over):
    room = MOST_OCTETS - len(divide(make_plan())[0])  # which has all fields; this row comes alone
    most = room - len('{"id":""}') - len("0") * 2 - 1
    row = {"id": "x" * (most + len(FIELDS) + over)}
    assert len(join(divide(make_plan(events=[row, {"id": "next"}])))["events"]) == 2 - over


def test_what_no_text_can_hold_is_replaced():
    assert json.loads(divide(make_plan({"event": "\ud800"}))[0])["limit"] == {"event": "?"}


def test_another_plan_is_told_at_once_and_the_same_one_again_in_a_minute():
    course = PlanCourse()
    assert course.find_due(make_plan(), NOW)
    assert not course.find_due(make_plan(LIMIT), NOW + REST_MS - 1), "it rests"
    assert course.find_due(make_plan(LIMIT), NOW + REST_MS)
    later = make_plan(LIMIT) | {"issued": "2026-06-14T17:00:09Z"}
    assert not course.find_due(later, NOW + REST_MS + RENEW_MS - 1)
    assert course.find_due(later, NOW + REST_MS + RENEW_MS)


def test_what_may_not_have_arrived_is_told_again():
    course = PlanCourse()
    assert course.find_due(make_plan(), NOW)
    course.forget()
    assert not course.find_due(make_plan(), NOW + 1)
    assert course.find_due(make_plan(), NOW + REST_MS)


def test_who_says_too_much_is_not_heard_for_the_rest_of_the_minute():
    allowance = Allowance()
    heard = [allowance.take(NOW + one) for one in range(MOST_MESSAGES + 2)]
    assert heard == [True] * MOST_MESSAGES + [False] * 2
    assert allowance.is_spent(NOW + PERIOD_MS - 1)
    assert not allowance.is_spent(NOW + PERIOD_MS)
    assert allowance.take(NOW + PERIOD_MS)


def test_who_says_as_much_as_allowed_is_heard():
    allowance = Allowance()
    for one in range(MOST_MESSAGES):
        allowance.take(NOW + one)
    assert not allowance.is_spent(NOW + MOST_MESSAGES)


@pytest.mark.parametrize(
    ("octets", "is_retained", "reason"),
    [(MOST_OCTETS, False, None), (MOST_OCTETS + 1, False, "size"), (2, True, "retained")],
)
def test_what_is_too_long_or_old_is_not_read(octets, is_retained, reason):
    refusal = find_refusal(octets, is_retained=is_retained)
    assert (refusal and refusal.reason) == reason
