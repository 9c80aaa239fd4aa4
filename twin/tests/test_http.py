"""The HTTP codec against h11's reading of the protocol, and the server's caps on real sockets."""

import asyncio
import contextlib
import socket

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin import http_server
from meter_twin.http_codec import (
    MAX_BODY,
    HttpError,
    RequestParser,
    encode_chunk,
    encode_head,
    unquote,
)
from meter_twin.http_server import ApiError, HttpServer, Response, json_response

GET = b"GET /v1/readings?since=1h&code=1-0%3A1.8.0%2A255 HTTP/1.1\r\nHost: x\r\n\r\n"


def parse(data):
    parser = RequestParser()
    parser.feed(data)
    return parser.next_request()


@given(st.data())
def test_a_request_of_h11_is_understood_at_any_split(data):
    body = data.draw(st.binary(max_size=200))
    client = h11.Connection(h11.CLIENT)
    headers = [("host", "x"), ("content-length", str(len(body)))]
    raw = client.send(h11.Request(method="POST", target="/v1/load?a=b", headers=headers))
    raw += client.send(h11.Data(data=body)) + client.send(h11.EndOfMessage())
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    parser, found = RequestParser(), []
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        parser.feed(raw[start:end])
        found += filter(None, [parser.next_request()])
    (message,) = found
    assert (message.method, message.path, message.query) == ("POST", "/v1/load", {"a": "b"})
    assert message.body == body
    assert parser.is_idle


@pytest.mark.parametrize("length", [None, 5])
@pytest.mark.parametrize("status", [200, 404, 503])
def test_h11_understands_our_answers(status, length):
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    raw = encode_head(status, "application/json", length, keep_alive=True)
    raw += b"hello" if length else encode_chunk(b"hel") + encode_chunk(b"lo") + encode_chunk(b"")
    client.receive_data(raw)
    assert client.next_event().status_code == status
    text = b""
    while isinstance(event := client.next_event(), h11.Data):
        text += event.data
    assert text == b"hello"
    assert isinstance(event, h11.EndOfMessage)


def test_percent_and_plus_are_decoded():
    assert parse(GET).query == {"since": "1h", "code": "1-0:1.8.0*255"}
    assert parse(b"GET /?a=1+2%zz%4 HTTP/1.1\r\nHost: x\r\n\r\n").query == {"a": "1 2%zz%4"}
    assert unquote("%E2%82%AC%ff") == "€\ufffd"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 65 + b"\r\n", 431),
        (b"GET /" + b"a" * 9000, 431),
        (b"GET /?" + b"&".join([b"a=b"] * 17) + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
)
def test_a_request_that_could_be_misread_is_refused(data, status):
    with pytest.raises(HttpError) as caught:
        parse(data)
    assert caught.value.status == status


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data):
    parser = RequestParser()
    parser.feed(data)
    with contextlib.suppress(HttpError):
        parser.next_request()


async def handler(request):
    if request.path == "/pieces":
        return Response(200, pieces=iter([b"[", b"1", b"]"]))
    if request.path == "/bug":
        raise RuntimeError("secret 12345")
    if request.path == "/slow":
        await asyncio.sleep(5)
    if request.path == "/refused":
        raise ApiError(400, "since", "is wrong", "correct it")
    return json_response({"path": request.path, "body": request.body.decode()})


@pytest.fixture
async def port():
    server = HttpServer("test", handler)
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(listening)
    yield listening.getsockname()[1]
    await server.close()


async def ask(port, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(-1), 60)  # a hang
    finally:
        writer.close()


async def test_requests_are_answered_one_after_the_other(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
    text = await reader.readuntil(b'"body":"hi"}')
    assert text.count(b"HTTP/1.1 200 OK") == 2
    writer.close()


async def test_an_answer_in_pieces_is_whole_and_old_clients_get_it_with_a_length(port):
    assert b"1\r\n[\r\n1\r\n1\r\n1\r\n]\r\n0\r\n\r\n" in await ask(
        port, b"GET /pieces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    old = await ask(port, b"GET /pieces HTTP/1.0\r\n\r\n")
    assert old.endswith(
        b"content-length: 3\r\ncache-control: no-store\r\nconnection: close\r\n\r\n[1]"
    )


async def test_a_bug_is_answered_without_its_text(port, capsys):
    text = await ask(port, b"GET /bug HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b"500" in text
    assert b"12345" not in text
    assert "12345" not in capsys.readouterr().err


async def test_an_error_names_field_and_remedy(port):
    text = await ask(port, b"GET /refused HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b'{"error":{"field":"since","message":"is wrong","remedy":"correct it"}}' in text


async def test_connections_beyond_the_cap_are_cut_and_others_go_on(port):
    open_ones = [
        await asyncio.open_connection("127.0.0.1", port) for _ in range(http_server.MAX_CONNECTIONS)
    ]
    for its_reader, its_writer in open_ones:  # an answer shows that the server has taken it
        its_writer.write(GET)
        await its_reader.readuntil(b"}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    open_ones[0][1].write(GET)
    assert b"200" in await open_ones[0][0].read(100)
    for _, one in open_ones:
        one.close()


async def test_a_client_that_says_nothing_is_cut(port, monkeypatch):
    monkeypatch.setattr(http_server, "REQUEST_TIMEOUT_S", 0.2)
    assert await ask(port, b"GET / HT") == b""
