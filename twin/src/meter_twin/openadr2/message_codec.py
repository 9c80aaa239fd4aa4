"""The frame of all OpenADR 2.0b messages: payload, signed object, response (oadr_20b.xsd).

`parse_message` finds the one message in a payload; `build_message` wraps one that a service's
module has written. Neighbours: `xml_codec`, and the modules of the services.
"""

from typing import NamedTuple

from meter_twin.demand_response.response_code import is_success

from .times import format_duration, format_moment, parse_duration
from .xml_codec import NAMESPACES, Element, XmlError, parse_xml, write_element, write_text

VERSION = "2.0b"
MOST_TEXT = 256
"""An identifier or a description is read up to here."""


class MessageError(ValueError):
    """A payload that is no OpenADR 2.0b message; `field` is the element at fault."""

    def __init__(self, field: str, message: str) -> None:
        """Name the element."""
        super().__init__(f"{field}: {message}")
        self.field = field


class Message(NamedTuple):
    """A message: its name, such as oadrDistributeEvent, and its element."""

    name: str
    element: Element


class Response(NamedTuple):
    """An eiResponse: three digits, words, the request that it answers."""

    code: int
    description: str
    request_id: str

    @property
    def is_good(self) -> bool:
        """2xx."""
        return is_success(self.code)


def parse_message(octets: bytes) -> Message:
    """Return the message in a payload.

    Raises:
        MessageError: no XML, or no payload with one message.
    """
    try:
        root = parse_xml(octets)
    except XmlError as error:
        raise MessageError("oadrPayload", str(error)) from error
    signed = root.find("oadrSignedObject")
    if root.name != "oadrPayload" or signed is None or len(signed.children) != 1:
        raise MessageError("oadrPayload", "holds no single message")
    return Message(signed.children[0].name, signed.children[0])


def find_stranger(message: Message, ids: dict[str, str]) -> str | None:
    """Return the name of an id in a message that is another than expected, None without one.

    An id that is not there, or not known yet, is none (conformance rule 21).

    Args:
        message: as it was read.
        ids: expected value by name, such as venID.
    """
    for name, expected in ids.items():
        found = message.element.get_text(name)
        if found and expected and found != expected:
            return name
    return None


def build_message(message: str) -> str:
    """Return a payload with one message that is written already."""
    spaces = {f"xmlns:{prefix}": space for prefix, space in NAMESPACES.items()}
    signed = write_element("oadr:oadrSignedObject", message, oadr__Id="oadrSignedObject")
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return head + write_element("oadr:oadrPayload", signed, **spaces)


def write_message(name: str, *content: str) -> str:
    """Return a message's element with the version of the schema."""
    return write_element(f"oadr:{name}", *content, ei__schemaVersion=VERSION)


def write_response(code: int, description: str, request_id: str) -> str:
    """Return an eiResponse."""
    return write_element(
        "ei:eiResponse",
        write_text("ei:responseCode", f"{code:03}"),
        write_text("ei:responseDescription", description),
        write_text("pyld:requestID", request_id),
    )


def parse_response(element: Element) -> Response:
    """Return the eiResponse in a message.

    Raises:
        MessageError: there is none, or its code is no three digits.
    """
    found = element.find("eiResponse")
    if found is None:
        raise MessageError("eiResponse", "is missing")
    code = found.get_text("responseCode")
    if len(code) != 3 or not (code.isascii() and code.isdigit()):  # noqa: PLR2004 - three digits
        raise MessageError("responseCode", "is no three digits")
    words = found.get_text("responseDescription")[:MOST_TEXT]
    return Response(int(code), words, found.get_text("requestID")[:MOST_TEXT])


def write_start(seconds: int) -> str:
    """Return an xCal dtstart of UTC seconds."""
    return write_element("xcal:dtstart", write_text("xcal:date-time", format_moment(seconds)))


def write_duration(seconds: int) -> str:
    """Return an xCal duration."""
    return write_element("xcal:duration", write_text("xcal:duration", format_duration(seconds)))


def parse_span(element: Element, path: str, default: int | None) -> int:
    """Return the duration at a path, the default if there is none.

    Raises:
        ValueError: it is none, negative, or missing without a default.
    """
    text = element.get_text(path)
    if not text and default is not None:
        return default
    seconds = parse_duration(text)
    if seconds < 0:
        raise MessageError(path.partition("/")[0], "is negative")
    return seconds


def get_identifier(element: Element, path: str) -> str:
    """Return an identifier that has to be there.

    Raises:
        MessageError: missing, empty or longer than MOST_TEXT.
    """
    text = element.get_text(path)
    if not text:
        raise MessageError(path.rpartition("/")[2], "is missing or empty")
    if len(text) > MOST_TEXT:
        raise MessageError(path.rpartition("/")[2], f"is longer than {MOST_TEXT}")
    return text
