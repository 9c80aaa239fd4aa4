"""What OpenADR 2.0b's own schema says, as openleadr ships it."""

import importlib.util
from pathlib import Path

import pytest
from lxml import etree


@pytest.fixture(scope="session")
def schema():
    found = importlib.util.find_spec("openleadr")
    return etree.XMLSchema(etree.parse(Path(found.origin).parent / "schema" / "oadr_20b.xsd"))


@pytest.fixture
def valid(schema):
    """Return a check that a payload is what the XSD allows."""

    def check(payload):
        document = etree.fromstring(payload.encode())
        schema.assertValid(document)
        return document

    return check
