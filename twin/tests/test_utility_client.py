"""What agents want asked is asked where it belongs, and credentials come from files."""

import asyncio

import pytest
from meter_twin.http_client import HttpClientError
from meter_twin.http_url import parse_url
from meter_twin.openadr2 import dialogue as dialogue2
from meter_twin.openadr3.dialogue import TOKEN, Question
from meter_twin.utility_client import UtilityClient
from meter_twin.utility_credentials import read_credentials


class Server:
    """Notes requests, and answers each with 200."""

    async def __aenter__(self):
        self.requests = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/base"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            lines = head.decode().split("\r\n")
            length = int(next(one for one in lines if one.startswith("content-length"))[15:])
            self.requests.append((lines[0], await reader.readexactly(length), lines[1:]))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
        writer.close()


async def test_questions_of_either_openadr_reach_the_vtn():
    async with Server() as vtn:
        client = UtilityClient(parse_url(vtn.url), lambda: None)
        old = dialogue2.Question("OadrPoll", "<é/>", dialogue2.POLL)
        new = Question("GET", "/events?skip=0", "events", headers={"authorization": "Bearer t"})
        assert (await client.ask(old)).body == b"ok"
        assert (await client.ask(new)).body == b"ok"
        await client.close()
    (first, body, lines), (second, empty, headers) = vtn.requests
    assert (first, body) == ("POST /base/OadrPoll HTTP/1.1", "<é/>".encode())
    assert "content-type: application/xml" in lines
    assert (second, empty) == ("GET /base/events?skip=0 HTTP/1.1", b"")
    assert "authorization: Bearer t" in headers


async def test_a_question_for_another_server_goes_there_and_nowhere_else():
    async with Server() as vtn, Server() as other:
        client = UtilityClient(parse_url(vtn.url), lambda: None)
        question = Question("POST", "", TOKEN, "", b"a=b", url=other.url + "/realm/token")
        assert (await client.ask(question)).status == 200
        await client.close()
    assert vtn.requests == []
    assert other.requests[0][:2] == ("POST /base/realm/token HTTP/1.1", b"a=b")


async def test_an_address_that_is_none_is_no_answer():
    client = UtilityClient(parse_url("http://127.0.0.1:1"), lambda: None)
    with pytest.raises(HttpClientError, match="is no URL"):
        await client.ask(Question("POST", "", TOKEN, url="https://a?b=c"))


def test_credentials_are_read_from_files_and_never_shown(tmp_path):
    assert read_credentials(str(tmp_path)) is None
    (tmp_path / "client_id").write_text("house-1\n")
    assert read_credentials(str(tmp_path)) is None
    (tmp_path / "client_secret").write_text("s3cret \n")
    found = read_credentials(str(tmp_path))
    assert (found.client_id, found.client_secret) == ("house-1", "s3cret ")
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize("content", [b"", b"\n", b"s3cret\xff", b"s3cret" * 1000])
def test_a_file_that_is_no_secret_is_refused_without_telling_it(tmp_path, content):
    (tmp_path / "client_id").write_text("house-1")
    (tmp_path / "client_secret").write_bytes(content)
    with pytest.raises(ValueError, match="client_secret is empty, too long or no text") as caught:
        read_credentials(str(tmp_path))
    assert "s3cret" not in str(caught.value)
