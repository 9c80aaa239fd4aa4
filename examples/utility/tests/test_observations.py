"""What was seen of customers: counts of answers and of values."""

from city_grid.observations import Answer, Observations, Value


def test_an_answer_is_counted_and_a_change_of_it_too():
    seen = Observations({"a": "ven-a"})
    seen.note_answer("a", "peak", Answer("optIn", 0))
    assert seen.find_answers("peak") == {
        "a": {"opt": "optIn", "modification": 0, "code": 200, "answers": 1, "changes": 0}
    }
    seen.note_answer("a", "peak", Answer("optIn", 0))
    seen.note_answer("a", "peak", Answer("optOut", 0))
    found = seen.find_answers("peak")["a"]
    assert (found["opt"], found["answers"], found["changes"]) == ("optOut", 3, 1)
    seen.note_answer("a", "peak", Answer("optOut", 1))
    found = seen.find_answers("peak")["a"]
    assert (found["modification"], found["answers"], found["changes"]) == (1, 1, 0)
    assert seen.find_answers("other") == {}
    seen.forget(["peak", "other"])
    assert seen.find_answers("peak") == {}


def test_a_value_that_comes_again_is_told_from_a_new_one():
    seen = Observations({"a": "ven-a"})
    quarter = [Value("import", 900, 5.0), Value("export", 900, 1.0)]
    seen.note_report("a", quarter)
    seen.note_report("a", [Value("import", 1800, 6.0)])
    seen.note_report("a", quarter)
    found = seen.vens["a"].describe_reports()
    assert (found["count"], found["values"], found["repeated"]) == (3, 5, 2)
    assert found["newest"] == "1970-01-01T00:30:00Z"
    assert found["points"] == {"import": 6.0, "export": 1.0}


def test_who_has_said_nothing_has_said_nothing():
    seen = Observations({"a": "ven-a"})
    assert seen.vens["a"].describe()["last_poll"] is None
    assert seen.vens["a"].describe_reports()["newest"] is None
