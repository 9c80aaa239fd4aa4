"""XML in and out, as OpenADR 2.0b needs it: small trees over expat, safe from what XML can do.

A document type is refused where it begins, so there are no entities to expand and no files to
read; depth, size and the number of elements have a limit. Names are read without their namespace:
no two elements of one parent differ by it only in 2.0b, and a VTN that is wrong in this is
understood. What is written has the right one. Neighbour: `message_codec`.
"""

from collections.abc import Iterator
from xml.parsers import expat

MOST_OCTETS = 1 << 20
MOST_ELEMENTS = 20_000
MOST_DEPTH = 32
MOST_ATTRIBUTES = 100

_SEPARATOR = " "  # no XML namespace name may have one
NAMESPACES = {
    "oadr": "http://openadr.org/oadr-2.0b/2012/07",
    "ei": "http://docs.oasis-open.org/ns/energyinterop/201110",
    "pyld": "http://docs.oasis-open.org/ns/energyinterop/201110/payloads",
    "emix": "http://docs.oasis-open.org/ns/emix/2011/06",
    "power": "http://docs.oasis-open.org/ns/emix/2011/06/power",
    "scale": "http://docs.oasis-open.org/ns/emix/2011/06/siscale",
    "strm": "urn:ietf:params:xml:ns:icalendar-2.0:stream",
    "xcal": "urn:ietf:params:xml:ns:icalendar-2.0",
}


class XmlError(ValueError):
    """What came is no XML, or more than the twin reads."""


class Element:
    """An element that was read: local name, attributes by local name, children, own text."""

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        """Begin it; children and text come."""
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""

    def find(self, path: str) -> "Element | None":
        """Return the first element at a path of names (`a/b/c`) below this, or None."""
        found: Element | None = self
        for name in path.split("/"):
            if found is None:
                return None
            found = next((child for child in found.children if child.name == name), None)
        return found

    def all(self, name: str) -> "Iterator[Element]":
        """Return the children of that name."""
        return (child for child in self.children if child.name == name)

    def get_text(self, path: str, default: str = "") -> str:
        """Return the text at a path without the white space around it, or the default."""
        found = self.find(path)
        return found.text.strip() if found is not None else default


class _Builder:
    """What expat tells becomes a tree."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS or len(self._open) >= MOST_DEPTH:
            raise XmlError("too many elements, or too deep")
        if len(attributes) > MOST_ATTRIBUTES:
            raise XmlError("too many attributes")
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def characters(self, text: str) -> None:
        self._open[-1].text += text


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]


def _refuse_document_type(*_: object) -> None:
    raise XmlError("has a document type; entities are not read")


def parse_xml(octets: bytes) -> Element:
    """Return the root of a document.

    Raises:
        XmlError: not well-formed, a document type, or beyond a limit.
    """
    if len(octets) > MOST_OCTETS:
        raise XmlError(f"longer than {MOST_OCTETS} octets")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    try:
        parser.Parse(octets, True)
    except expat.ExpatError as error:
        raise XmlError(f"not well-formed: {expat.ErrorString(error.code)}") from error
    except (UnicodeError, LookupError) as error:
        raise XmlError("encoding") from error
    assert builder.root is not None
    return builder.root


def write_element(name: str, *content: str, **attributes: str) -> str:
    """Return an element; its `content` is XML already.

    Names have a prefix of NAMESPACES; in attributes `__` stands for the colon.
    """
    written = "".join(
        f' {key.replace("__", ":")}="{escape_text(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{written}>{''.join(content)}</{name}>" if content else f"<{name}{written}/>"


def write_text(name: str, text: object) -> str:
    """Return an element that holds text alone; True and False are written as XML does."""
    if isinstance(text, bool):
        text = "true" if text else "false"
    return f"<{name}>{escape_text(str(text))}</{name}>"


def escape_text(text: str) -> str:
    """Return text as XML 1.0 may hold it: escaped, other characters replaced (W3C XML 1.0, 2.2)."""
    allowed = "".join(one if _is_allowed(one) else "\ufffd" for one in text)
    # xml.sax.saxutils would do this too, and loads urllib's client for it
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        allowed = allowed.replace(character, entity)
    return allowed


def _is_allowed(character: str) -> bool:
    return (
        character in "\t\n\r"
        or " " <= character <= "\ud7ff"
        or ("\ue000" <= character <= "\ufffd" or character >= "\U00010000")
    )
