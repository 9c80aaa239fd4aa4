"""The file with the utility's address: whatever is in it, the twin says what is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.http_url import Url
from meter_twin.utility_file import UtilityFile, UtilityFileError, parse_address

GOOD = {"protocol": "openadr-2.0b", "url": "https://vtn.example:8443/OpenADR2/Simple/2.0b"}


def test_an_address_has_protocol_url_and_market_contexts():
    found = parse_address(json.dumps(GOOD | {"marketContexts": ["http://utility.example/peak"]}))
    assert found.url == Url(True, "vtn.example", 8443, "/OpenADR2/Simple/2.0b")
    assert found.market_contexts == ("http://utility.example/peak",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"protocol": "openadr-1"}, "protocol"),
        ({"url": "vtn.example"}, "is no URL"),
        ({"url": 7}, "url"),
        ({"marketContexts": ["["]}, "marketContexts"),
        ({"password": "x"}, "password"),
    ],
)
def test_a_wrong_address_is_refused_and_the_field_is_named(change, said):
    with pytest.raises(UtilityFileError, match=said) as caught:
        parse_address(json.dumps(GOOD | change))
    assert caught.value.reason == "Misconfigured"


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_junk_is_refused(text):
    with pytest.raises(UtilityFileError):
        parse_address(text)


def test_the_file_is_read_when_it_is_another_one(tmp_path):
    path, file = tmp_path / "utility.json", UtilityFile(str(tmp_path))
    with pytest.raises(UtilityFileError) as caught:
        file.poll()
    assert caught.value.reason == "UtilityMissing"
    path.write_text(json.dumps(GOOD))
    assert file.poll().url.host == "vtn.example"
    assert file.poll() is None
    path.write_text(json.dumps(GOOD | {"url": "http://other.example"}))
    assert file.poll().url.host == "other.example"
    path.unlink()
    with pytest.raises(UtilityFileError):
        file.poll()
    path.write_text(json.dumps(GOOD))
    assert file.poll() is not None
