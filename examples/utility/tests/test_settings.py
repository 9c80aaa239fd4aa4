"""Settings and the list of customers: what stands in the files, and what is refused by its name."""

import json
from datetime import time
from zoneinfo import ZoneInfo

import pytest
from city_grid.control import parse_peak
from city_grid.programme import Peak, Programme
from city_grid.settings import Settings, SettingsError, load_settings, load_vens

GOOD = "00:11:22:33:44:55:66:77:88:AF"
PEAK = {"level": 2, "starts_in_s": 30, "seconds": 300, "vens": None}


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "given.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def test_an_empty_object_is_all_defaults(file):
    assert load_settings(file({})) == Settings()


def test_a_programme_of_ones_own(file):
    programme = {
        "timezone": "Europe/London",
        "currency": "GBP",
        "prices": [0.1] * 23 + [0.25],
        "peaks": [{"start": "06:00", "end": "06:30", "level": 3}],
        "peakContext": "http://x.example/peak",
    }
    found = load_settings(file({"poll_s": 5, "programme": programme}))
    assert found.poll_s == 5
    assert found.programme == Programme()._replace(
        zone=ZoneInfo("Europe/London"),
        currency="GBP",
        prices_micro=(*[100_000] * 23, 250_000),
        peaks=(Peak(time(6), time(6, 30), 3),),
        peak_context="http://x.example/peak",
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("{", "no JSON", id="no JSON"),
        pytest.param([], "not an object", id="a list"),
        pytest.param({"pool_s": 1}, "pool_s: unknown; there are certificate,", id="unknown"),
        pytest.param({"poll_s": "1"}, "poll_s: '1' cannot", id="a text for a number"),
        pytest.param({"poll_s": True}, "poll_s: True cannot", id="a flag for a number"),
        pytest.param({"port": 0}, "port: 0 cannot", id="no port"),
        pytest.param({"programme": 1}, "programme: not an object", id="no programme"),
        pytest.param({"programme": {"x": 1}}, r"programme\.x: unknown", id="unknown in it"),
        pytest.param({"programme": {"timezone": "Europe/Atlantis"}}, "timezone", id="no zone"),
        pytest.param({"programme": {"timezone": ""}}, "timezone", id="an empty zone"),
        pytest.param({"programme": {"currency": ""}}, "currency", id="no currency"),
        pytest.param({"programme": {"prices": [1] * 23}}, "prices", id="23 prices"),
        pytest.param({"programme": {"peaks": [{"start": "19:00", "end": "18:00"}]}}, "peaks", id="a peak over midnight"),
        pytest.param({"programme": {"peaks": [{"start": "18:00", "end": "18:00"}]}}, "peaks", id="no peak"),
        pytest.param({"programme": {"peaks": [{"start": "18:00", "end": "19:00", "level": 4}]}}, "peaks", id="level 4"),
        pytest.param({"programme": {"peaks": [{"start": "18:00"}]}}, "peaks", id="a peak without an end"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_by_name(file, content, words):
    with pytest.raises(SettingsError, match=words):
        load_settings(file(content))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        load_settings(str(tmp_path / "none.json"))


@pytest.mark.parametrize("name", ["house-1", "1-house", "541448860000000011x", "a" * 128])
def test_a_customer_has_a_name_and_a_fingerprint(file, name):
    assert load_vens(file({name: GOOD})) == {name: GOOD}


@pytest.mark.parametrize("name", ["", "541448860000000011", "1.5", "true", "false", "a b", "a<b", "a" * 129])  # fmt: skip
def test_a_name_that_openleadr_would_misread_is_refused(file, name):
    with pytest.raises(SettingsError, match="is no name"):
        load_vens(file({name: GOOD}))


@pytest.mark.parametrize("fingerprint", ["", GOOD.lower(), GOOD[:-3], GOOD + ":00", 5, None])
def test_what_is_no_fingerprint_is_refused(file, fingerprint):
    with pytest.raises(SettingsError, match=r"house-1: .* is no fingerprint"):
        load_vens(file({"house-1": fingerprint}))


def test_a_peak_is_asked_for():
    event = parse_peak(PEAK, ["house-1"], Programme(), 1_000)
    assert (event.start_s, event.end_s, event.level, event.vens) == (1_030, 1_330, 2, None)
    assert event.event_id.startswith("peak-19700101T001710Z-")
    assert parse_peak(PEAK, [], Programme(), 1_000).event_id != event.event_id
    assert parse_peak(PEAK | {"vens": ["a"]}, ["a"], Programme(), 0).vens == ("a",)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param([], "not an object", id="a list"),
        pytest.param({}, "level: None", id="nothing"),
        pytest.param(PEAK | {"level": 0}, "level: 0", id="level 0"),
        pytest.param(PEAK | {"level": 4}, "level: 4", id="level 4"),
        pytest.param(PEAK | {"level": True}, "level: True", id="a flag"),
        pytest.param(PEAK | {"starts_in_s": -1}, "starts_in_s: -1", id="in the past"),
        pytest.param(PEAK | {"seconds": 0}, "seconds: 0", id="it does not last"),
        pytest.param(PEAK | {"seconds": 604_801}, "seconds: 604801", id="longer than a week"),
        pytest.param(PEAK | {"second": 1}, "second: unknown", id="unknown"),
        pytest.param(PEAK | {"vens": []}, "vens: a list of names", id="nobody"),
        pytest.param(PEAK | {"vens": "house-1"}, "vens: a list of names", id="no list"),
        pytest.param(PEAK | {"vens": ["house-1", "x"]}, "vens: 'x' is none of", id="unknown VEN"),
        pytest.param(PEAK | {"vens": [[]]}, "vens:", id="no name"),
    ],
)
def test_a_peak_that_cannot_be_is_refused_by_name(body, words):
    with pytest.raises(ValueError, match=words):
        parse_peak(body, ["house-1"], Programme(), 0)
