"""XML is read without what it can be abused for, and written as it may be."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin.openadr2 import xml_codec
from meter_twin.openadr2.xml_codec import (
    MOST_ATTRIBUTES,
    XmlError,
    parse_xml,
    write_element,
    write_text,
)

LAUGHS = (
    b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><l>&b;</l>"""
)
REFUSED = {
    "a document type with entities": LAUGHS,
    "an external entity": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "a document type alone": b"<!DOCTYPE a><a/>",
    "an external document type": b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>',
    "an entity that is not declared": b"<a>&x;</a>",
    "an end without a beginning": b"</a>",
    "two roots": b"<a/><b/>",
    "nothing": b"",
    "no XML": b"\x00\xff junk",
    "an encoding that nobody knows": b'<?xml version="1.0" encoding="x-no"?><a/>',
    "a prefix without a namespace": b"<a:b/>",
    "the same attribute twice": b'<a x="1" x="2"/>',
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    with pytest.raises(XmlError):
        parse_xml(REFUSED[case])


@pytest.mark.parametrize(
    ("octets", "is_read"),
    [
        (b"<a>" * xml_codec.MOST_DEPTH + b"</a>" * xml_codec.MOST_DEPTH, True),
        (b"<a>" * (xml_codec.MOST_DEPTH + 1) + b"</a>" * (xml_codec.MOST_DEPTH + 1), False),
        (b"<a>" + b"<b/>" * (xml_codec.MOST_ELEMENTS - 1) + b"</a>", True),
        (b"<a>" + b"<b/>" * xml_codec.MOST_ELEMENTS + b"</a>", False),
        (b"<a>" + b" " * (xml_codec.MOST_OCTETS - 7) + b"</a>", True),
        (b"<a>" + b" " * (xml_codec.MOST_OCTETS - 6) + b"</a>", False),
    ],
)
def test_depth_number_and_size_have_a_limit(octets, is_read):
    if is_read:
        assert parse_xml(octets).name == "a"
    else:
        with pytest.raises(XmlError):
            parse_xml(octets)


def test_names_are_read_without_their_namespace():
    root = parse_xml(b'<x:a xmlns:x="urn:x" x:i="1"><b xmlns="urn:y"> t&amp;u </b></x:a>')
    assert (root.name, root.attributes) == ("a", {"i": "1"})
    assert root.get_text("b") == "t&u"
    assert root.find("b/c") is None
    assert root.get_text("b/c", "none") == "none"


@given(st.text())
def test_any_text_is_written_so_that_it_can_be_read(text):
    written = write_element("oadr:a", write_text("oadr:b", text), oadr__c=text)
    spaces = f'xmlns:oadr="{xml_codec.NAMESPACES["oadr"]}"'
    root = parse_xml(written.replace("<oadr:a", f"<oadr:a {spaces}", 1).encode())
    allowed = "".join(one if xml_codec._is_allowed(one) else "\ufffd" for one in text)
    read = allowed.replace("\r\n", "\n").replace("\r", "\n")
    assert root.find("b").text == read


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(octets):
    with contextlib.suppress(XmlError):
        parse_xml(octets)


@pytest.mark.parametrize(
    ("count", "is_read"), [(MOST_ATTRIBUTES, True), (MOST_ATTRIBUTES + 1, False)]
)
def test_attributes_have_a_limit(count, is_read):
    octets = ("<a " + " ".join(f"b{number}=''" for number in range(count)) + "/>").encode()
    if is_read:
        assert len(parse_xml(octets).attributes) == count
    else:
        with pytest.raises(XmlError, match="attributes"):
            parse_xml(octets)
