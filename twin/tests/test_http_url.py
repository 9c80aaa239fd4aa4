"""Where a utility's server is."""

import pytest
from meter_twin.http_url import Url, parse_url


@pytest.mark.parametrize(
    ("text", "expected", "authority"),
    [
        ("https://vtn.example", Url(True, "vtn.example", 443, ""), "vtn.example"),
        ("https://vtn.example/a/b/", Url(True, "vtn.example", 443, "/a/b"), "vtn.example"),
        ("http://10.0.0.1:8080/a", Url(False, "10.0.0.1", 8080, "/a"), "10.0.0.1:8080"),
        ("https://[::1]:8443/", Url(True, "[::1]", 8443, ""), "[::1]:8443"),
        ("http://vtn:80", Url(False, "vtn", 80, ""), "vtn"),
    ],
)
def test_a_url_is_read(text, expected, authority):
    assert parse_url(text) == expected
    assert parse_url(text).authority == authority


@pytest.mark.parametrize(
    "text",
    [
        *("", "vtn.example", "ftp://vtn", "https://", "https://user@vtn", "https://vtn:0", "https://vtn:65536"),
        *("https://vtn/a?b=c", "https://vtn/a#b", "https://vtn/a b", "https://vtn/\r\nhost: x"),
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(text):
    with pytest.raises(ValueError, match="is no URL"):
        parse_url(text)
