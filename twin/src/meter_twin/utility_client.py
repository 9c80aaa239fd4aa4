"""Asks what an agent of either OpenADR wants asked: at the VTN, or at the server of its tokens.

Neighbours: `http_client` (one server), `openadr2.dialogue` and `openadr3.dialogue` (the questions).
"""

import ssl
from collections.abc import Callable

from .http_answer import HttpAnswer
from .http_client import HttpClient, HttpClientError
from .http_url import Url, parse_url
from .utility_agent import Asked


class UtilityClient:
    """The client of one utility."""

    def __init__(self, url: Url, tls: Callable[[], ssl.SSLContext]) -> None:
        """`tls` returns the context as it is now; it is not asked for http."""
        self._vtn = HttpClient(url, tls)
        self._tls = tls

    async def ask(self, question: Asked) -> HttpAnswer:
        """Return the answer to a question.

        Raises:
            HttpClientError: there is no answer.
        """
        if not question.url:
            client = self._vtn
            if not question.is_repeatable:
                await client.close()  # on a kept connection it might be sent a second time
            return await client.ask(
                question.method, question.path, question.octets, question.headers
            )
        try:
            other = HttpClient(parse_url(question.url), self._tls)
        except ValueError as error:
            raise HttpClientError("BadAnswer", f"the address of its tokens {error}") from error
        try:
            return await other.ask(question.method, "", question.octets, question.headers)
        finally:
            await other.close()  # tokens are rare: a connection kept for them costs memory

    async def close(self) -> None:
        """Drop the connection; the next question opens another one."""
        await self._vtn.close()
