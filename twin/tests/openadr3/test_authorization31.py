"""Tokens: where they come from, when they are renewed, what a refusal means."""

import json

import pytest
from fake_vtn import CLIENT, NOW, SECRET, URL, FakeVtn, make, purposes, settle
from meter_twin.openadr3.authorization import Authorization, Credentials


def say(**row):
    return json.dumps(row).encode()


def ask(authorization, status, octets, now_s=NOW):
    question = authorization.find_question(now_s)
    assert question is not None, "nothing is asked"
    return question, authorization.take(question, status, octets, now_s)


def build(url=URL, token_url=""):
    return Authorization(url, lambda: Credentials(CLIENT, SECRET), token_url)


def test_a_token_is_renewed_before_it_ends():
    vtn = FakeVtn()
    vtn.expires_s = 600
    agent = make()
    settle(agent, vtn)
    for now_s in range(NOW + 30, NOW + 540, 30):
        settle(agent, vtn, now_s)
    assert purposes(vtn).count("token") == 1
    settle(agent, vtn, NOW + 540)
    assert purposes(vtn).count("token") == 2
    assert agent.reason == "Registered"


@pytest.mark.parametrize(("said", "lasts_s"), [({}, 3540), ({"expires_in": 0}, 24), ({"expires_in": -9}, 24), ({"expires_in": 1 << 30}, 30 * 86400 - 60)])  # fmt: skip
def test_a_life_that_is_missing_or_absurd_has_its_bounds(said, lasts_s):
    authorization = build(token_url=URL + "/auth/token")
    ask(authorization, 200, say(access_token="t", **said))
    assert authorization.find_question(NOW + lasts_s - 1) is None
    assert authorization.find_question(NOW + lasts_s) is not None


def test_a_token_that_is_refused_is_replaced_once_and_the_question_asked_again():
    vtn = FakeVtn()
    agent = make()
    settle(agent, vtn)
    vtn.tokens.clear()
    before = len(vtn.log)
    settle(agent, vtn, NOW + 30)
    assert purposes(vtn)[before:] == ["events", "token", "events"]
    assert agent.reason == "Registered"


def test_a_second_refusal_is_trouble_and_is_not_repeated_at_once():
    vtn = FakeVtn()
    agent = make()
    settle(agent, vtn)
    vtn.troubles = [("events", (401, b"{}"))] * 20
    asked = len(vtn.log)
    for now_s in range(NOW + 30, NOW + 90):
        while question := agent.find_next(now_s):
            agent.take(*vtn.answer(question), now_s, 0.9)
    assert agent.reason == "Unauthorized"
    assert len(vtn.log) - asked < 20
    vtn.troubles = []
    for now_s in range(NOW + 90, NOW + 500):
        settle(agent, vtn, now_s)
    assert agent.reason == "Registered"


@pytest.mark.parametrize("status", [400, 401])
def test_credentials_that_are_refused_are_trouble(status):
    authorization = build(token_url=URL + "/auth/token")
    _, trouble = ask(authorization, status, say(error="invalid_client"))
    assert trouble.reason == "Unauthorized"


def test_without_credentials_nothing_is_shown():
    agent, vtn = make(credentials=None), FakeVtn()
    question = agent.find_next(NOW)
    assert (question.purpose, dict(question.headers)) == ("lookup", {"accept": "application/json"})
    agent.take(*vtn.answer(question), NOW, 0.0)
    assert agent.reason == "Unauthorized"


def test_the_form_has_no_character_that_a_form_would_read_otherwise():
    authorization = build(token_url=URL + "/auth/token")
    question = authorization.find_question(NOW)
    assert question.body.decode().endswith("client_secret=s3cr%26t%20of%20house")
    assert (question.method, question.path, question.url) == ("POST", "/auth/token", "")


def test_another_server_that_issues_tokens_is_asked_at_its_own_address():
    authorization = build()
    ask(authorization, 200, say(tokenURL="https://login.example/realm/token"))
    question = authorization.find_question(NOW)
    assert (question.path, question.url) == ("", "https://login.example/realm/token")


@pytest.mark.parametrize("status", [404, 501])
def test_a_vtn_that_does_not_say_where_is_asked_itself(status):
    authorization = build()
    assert ask(authorization, status, b"")[1] is None
    assert authorization.find_question(NOW).path == "/auth/token"


@pytest.mark.parametrize("said", [b"", b"[]", b"{}", say(tokenURL=7), say(tokenURL="file:///etc/passwd"), say(tokenURL="https://a\r\nb/"), say(tokenURL="http://vtn.example/token")])  # fmt: skip
def test_an_address_that_is_none_or_gives_the_secret_away_is_refused(said):
    authorization = build()
    assert ask(authorization, 200, said)[1].reason == "BadAnswer"
    assert authorization.find_question(NOW).purpose == "server"


@pytest.mark.parametrize("token", ["", "a\r\nx: y", "a b", "ü", 7, None, "a" * 9000])
def test_a_token_that_would_break_a_header_is_refused(token):
    authorization = build(token_url=URL + "/auth/token")
    assert ask(authorization, 200, say(access_token=token))[1].reason == "BadAnswer"
    assert "authorization" not in authorization.headers


def test_a_server_of_tokens_that_fails_is_looked_up_again():
    authorization = build()
    ask(authorization, 200, say(tokenURL="https://login.example/token"))
    ask(authorization, 503, b"")
    assert authorization.find_question(NOW).purpose == "server"


def test_new_credentials_are_used_without_a_restart():
    given = [Credentials("a", "b")]
    authorization = Authorization(URL, lambda: given[0], URL + "/auth/token")
    assert b"client_id=a&" in authorization.find_question(NOW).body
    given[0] = Credentials("c", "d")
    assert b"client_id=c&" in authorization.find_question(NOW).body
