"""The client's side of HTTP/1.1, against h11 as the server, and against what no server should send."""

import contextlib

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_twin.http_answer import MOST_HEAD, AnswerError, AnswerReader

OK = b"HTTP/1.1 200 OK\r\n"


def read(octets, *, cuts=(), most=1000, ends=False):
    reader, at = AnswerReader(most), 0
    for cut in [*sorted(cuts), len(octets)]:
        found = reader.feed(octets[at:cut])
        at = cut
        if found is not None:
            assert at == len(octets)
            return found
    return reader.feed_end() if ends else None


def serve(status, body, framing, *, close=False):
    """Return an answer as h11 writes it."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    server.next_event()
    headers = [("content-type", "text/xml")]
    if framing == "length":
        headers.append(("content-length", str(len(body))))
    if framing == "chunked":
        headers.append(("transfer-encoding", "chunked"))
    if close or framing == "end":
        headers.append(("connection", "close"))
    octets = server.send(h11.Response(status_code=status, headers=headers))
    half = len(body) // 2
    for part in (body[:half], body[half:]):
        octets += server.send(h11.Data(data=part))
    return octets + server.send(h11.EndOfMessage())


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([200, 201, 400, 404, 500]),
    st.binary(max_size=300),
    st.sampled_from(["length", "chunked"]),
    st.booleans(),
    st.lists(st.integers(0, 400), max_size=5),
)
def test_what_h11_serves_is_read_however_it_is_cut(status, body, framing, close, cuts):
    octets = serve(status, body, framing, close=close)
    found = read(octets, cuts=[min(cut, len(octets)) for cut in cuts])
    assert (found.status, found.body, found.keep_alive) == (status, body, not close)
    assert found.headers["content-type"] == "text/xml"


def test_an_answer_without_a_length_ends_with_the_connection():
    found = read(OK + b"\r\nall of it", ends=True)
    assert (found.body, found.keep_alive) == (b"all of it", False)


def test_an_interim_answer_is_passed_over():
    octets = b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 2\r\n\r\nab"
    assert read(octets).body == b"ab"
    assert read(octets, cuts=[25]).body == b"ab"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_none(status):
    assert read(b"HTTP/1.1 %d \r\n\r\n" % status).body == b""


@pytest.mark.parametrize(
    ("octets", "keep_alive"),
    [
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\ncontent-length: 0\r\n\r\n", True),
        (OK + b"connection: x, Close\r\ncontent-length: 0\r\n\r\n", False),
    ],
)
def test_whether_a_connection_can_be_used_again(octets, keep_alive):
    assert read(octets).keep_alive is keep_alive


REFUSED = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "another HTTP": b"HTTP/2 200 OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching\r\n\r\n",
    "a header without a name": OK + b": x\r\n\r\n",
    "a folded header": OK + b"a: b\r\n c\r\n\r\n",
    "a space before the colon": OK + b"content-length : 0\r\n\r\n",
    "two lengths": OK + b"content-length: 0\r\ncontent-length: 0\r\n\r\n",
    "a length and chunks": OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a compressed body": OK + b"transfer-encoding: gzip, chunked\r\n\r\n",
    "a length that is none": OK + b"content-length: -1\r\n\r\n",
    "a length in other digits": OK + "content-length: ٣\r\n\r\n".encode(),
    "a body that is too long": OK + b"content-length: 1001\r\n\r\n",
    "chunks that are too long": OK + b"transfer-encoding: chunked\r\n\r\n3e9\r\n",
    "a body without a length that is too long": OK + b"\r\n" + b"x" * 1001,
    "a chunk without a size": OK + b"transfer-encoding: chunked\r\n\r\nx\r\n",
    "a chunk longer than it says": OK + b"transfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
    "an endless chunk line": OK + b"transfer-encoding: chunked\r\n\r\n1;" + b"x" * 300,
    "two answers": OK + b"content-length: 1\r\n\r\nab",
    "an endless head": OK + b"a: b\r\n" * (MOST_HEAD // 6),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    with pytest.raises(AnswerError):
        read(REFUSED[case])
    if case != "two answers":  # octet by octet, the first is whole before the second begins
        with pytest.raises(AnswerError):
            read(REFUSED[case], cuts=range(1, len(REFUSED[case])))


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        OK,
        OK + b"content-length: 3\r\n\r\nab",
        OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n",
    ],
)
def test_an_answer_that_is_cut_off_is_none(octets):
    with pytest.raises(AnswerError):
        read(octets, ends=True)


@given(st.binary(max_size=100))
def test_any_octets_are_read_or_refused(octets):
    with contextlib.suppress(AnswerError):
        read(OK + octets)
