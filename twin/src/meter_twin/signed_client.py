"""A client of the utility whose payloads are signed, and which believes only what the VTN signed.

It stands in the place of `utility_client.UtilityClient` for a utility that signs. What is not
believed is no answer: the agent asks again, later and later, and says `BadSignature`. Neighbours:
`openadr2.signature_rules` (decides), `xml_signatures` (proves), `utility_talk` (builds it).
"""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from .http_answer import HttpAnswer
from .http_client import HttpClientError
from .openadr2.signature_rules import SignatureError, SignaturePort, SignatureRules
from .utility_agent import Asked
from .utility_client import UtilityClient
from .utility_file import UtilityFileError

_NONCE_OCTETS = 16
REASON = "BadSignature"
_BARE_ANSWER_TO = b"<oadr:oadrResponse "
"""A VTN has nothing to say to this one, and an empty body cannot be signed."""


class _Signed(NamedTuple):
    """A question with its body signed."""

    method: str
    path: str
    octets: bytes
    headers: Mapping[str, str]
    is_repeatable: bool
    url: str


class SignedClient:
    """Signs what is asked, opens what is answered."""

    def __init__(
        self,
        client: UtilityClient,
        signatures: SignaturePort,
        rules: SignatureRules,
        new_nonce: Callable[[], str],
    ) -> None:
        """`new_nonce` makes one that was never used before."""
        self._client = client
        self._signatures = signatures
        self._rules = rules
        self._new_nonce = new_nonce

    async def ask(self, question: Asked) -> HttpAnswer:
        """Return the answer to a question, its body as it was signed.

        What is refused by status alone is handed on as it came: it changes nothing that is kept.

        Raises:
            HttpClientError: there is none, or none that is believed.
        """
        body = question.octets
        now_s = int(time.time())
        try:
            signed = self._signatures.sign(body.decode(), now_s, self._new_nonce())
        except SignatureError as error:
            raise HttpClientError("Certificate", f"nothing can be signed: {error}") from error
        # The nonce makes it another message: sent twice it would be one that comes again.
        about = question.method, question.path, signed, question.headers
        answer = await self._client.ask(_Signed(*about, question.is_repeatable, question.url))
        is_bare = not answer.body.strip() and _BARE_ANSWER_TO in body
        if answer.status // 100 != 2 or is_bare:  # noqa: PLR2004 - 2xx
            return answer
        try:
            sealed = self._signatures.open(answer.body)
            self._rules.check(sealed, int(time.time()))
        except SignatureError as error:
            raise HttpClientError(REASON, f"an answer that is not believed: {error}") from error
        return answer._replace(body=sealed.payload)

    async def close(self) -> None:
        """Drop the connection."""
        await self._client.close()


def build_signed_client(
    client: UtilityClient, folder: str, signed_by: tuple[str, ...]
) -> SignedClient:
    """Return a client for a utility that signs; signxml is loaded here, and nowhere else.

    Raises:
        UtilityFileError: this image cannot sign.
    """
    try:
        from .xml_signatures import XmlSignatures  # noqa: PLC0415
    except ImportError as error:
        text = f"signedBy: this image cannot sign ({error}); use the image twin-signed"
        raise UtilityFileError("Misconfigured", text) from error
    return SignedClient(
        client,
        XmlSignatures(f"{folder}/tls.crt", f"{folder}/tls.key"),
        SignatureRules(signed_by, int(time.time())),
        lambda: secrets.token_hex(_NONCE_OCTETS),
    )
