"""How the meter stands with its utility: said once, and not flickering with its server."""

import pytest
from meter_twin.utility_standing import PASSING_S, StandingKeeper

PASSING = ["Unreachable", "Timeout", "Closed", "HttpError", "BadAnswer"]


def note(keeper, reason, now_s, message=""):
    keeper.note(reason, message, now_s)
    return keeper.standing.reason


@pytest.mark.parametrize("reason", PASSING)
def test_trouble_that_may_pass_is_said_after_five_minutes(reason):
    keeper = StandingKeeper()
    note(keeper, "Registered", 0)
    assert note(keeper, reason, 10) == "Registered"
    assert note(keeper, reason, 10 + PASSING_S - 1) == "Registered"
    assert note(keeper, reason, 10 + PASSING_S) == reason
    assert note(keeper, "Registered", 1000) == "Registered"


def test_trouble_of_several_kinds_is_one_trouble():
    keeper = StandingKeeper()
    note(keeper, "Registered", 0)
    note(keeper, "Timeout", 10)
    assert note(keeper, "HttpError", 10 + PASSING_S) == "HttpError"


def test_trouble_that_passed_begins_anew():
    keeper = StandingKeeper()
    note(keeper, "Registered", 0)
    note(keeper, "Timeout", 10)
    note(keeper, "Registered", 200)
    assert note(keeper, "Timeout", 400) == "Registered"


@pytest.mark.parametrize("reason", ["Unauthorized", "Certificate", "NotRegistered", "Cancelled"])
def test_a_refusal_is_said_at_once(reason):
    keeper = StandingKeeper()
    note(keeper, "Registered", 0)
    assert note(keeper, reason, 1) == reason


def test_who_was_never_registered_hears_at_once_why():
    assert note(StandingKeeper(), "Unreachable", 0) == "Unreachable"


def test_another_wording_is_no_news():
    keeper = StandingKeeper()
    assert keeper.note("NotFound", "OadrPoll was answered with status 404", 0)
    assert not keeper.note("NotFound", "EiEvent was answered with status 404", 9)
    assert len(keeper.standing.message) <= 200
