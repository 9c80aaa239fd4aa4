"""A wrong configuration is refused with field and remedy, and never reveals a key."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_twin import log
from meter_twin.application import Context
from meter_twin.configuration import ConfigurationError, load_configuration
from meter_twin.configuration_schema import SCHEMA
from meter_twin.option_schema import OptionError, apply_schema
from meter_twin.registry import APPLICATIONS, build_applications, build_engines, find_application

CONTEXT = Context("house-1", "point", "UTC", 60)


@pytest.fixture
def document(tmp_path):
    (tmp_path / "ca.crt").write_text("ca")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text(name)
    keys = {"device": "house-1", "epoch": 1, "epochId": "ab" * 16}
    keys |= dict.fromkeys(("up", "down", "ctl"), "cd" * 32)
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    return {
        "device": "house-1",
        "epoch": 1,
        "broker": {"host": "127.0.0.1"},
        "paths": {"identity": str(tmp_path), "trust": str(tmp_path / "ca.crt")},
    }


def test_defaults_are_filled_in(document):
    configuration = load_configuration(json.dumps(document))
    assert configuration.broker_port == 8883
    assert configuration.retention_days == 60
    assert configuration.store_limit_bytes == 200 << 20
    assert configuration.applications == {"metering-data": {}}
    assert configuration.keys.up == bytes.fromhex("cd" * 32)


def test_an_archive_is_an_address_or_none(document):
    assert load_configuration(json.dumps(document)).archive is None
    none = load_configuration(json.dumps({**document, "archive": None}))
    assert (none.archive, none.has_archive) == (None, False)
    found = load_configuration(json.dumps({**document, "archive": {"host": "archive"}}))
    assert (found.archive, found.has_archive) == (("archive", 8444), True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"device": "House 1"}, "METERTWIN_CONFIG.device"),
        ({"device": 7}, "METERTWIN_CONFIG.device"),
        ({"epoch": 0}, "METERTWIN_CONFIG.epoch"),
        ({"epoch": True}, "METERTWIN_CONFIG.epoch"),
        ({"broker": {}}, "METERTWIN_CONFIG.broker.host"),
        ({"broker": {"host": "x", "port": 99999}}, "METERTWIN_CONFIG.broker.port"),
        ({"colour": "red"}, "METERTWIN_CONFIG.colour"),
        ({"capturePeriodSeconds": 0}, "METERTWIN_CONFIG.capturePeriodSeconds"),
        ({"reportSpreadSeconds": 3601}, "METERTWIN_CONFIG.reportSpreadSeconds"),
        ({"storeLimitBytes": 1_048_575}, "METERTWIN_CONFIG.storeLimitBytes"),
        ({"registers": ["1.8.0"]}, "METERTWIN_CONFIG.registers[0]"),
        ({"dataPolicy": {"retentionDays": 0}}, "METERTWIN_CONFIG.dataPolicy.retentionDays"),
        (
            {"dataPolicy": {"recipients": [{"name": "u", "publicKey": "00"}]}},
            "METERTWIN_CONFIG.dataPolicy.recipients[0].publicKey",
        ),
        ({"archive": True}, "METERTWIN_CONFIG.archive"),
        ({"archive": {}}, "METERTWIN_CONFIG.archive.host"),
        ({"archive": {"host": ""}}, "METERTWIN_CONFIG.archive.host"),
        ({"archive": {"host": "a/b"}}, "METERTWIN_CONFIG.archive.host"),
        ({"archive": {"host": "a", "port": 0}}, "METERTWIN_CONFIG.archive.port"),
        ({"broker": None}, "METERTWIN_CONFIG.broker"),
        ({"device": "house-2"}, "keys.json.device"),
        ({"epoch": 2}, "keys.json.epoch"),
    ],
)
def test_a_wrong_field_is_named_with_a_remedy(document, change, field):
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(json.dumps({**document, **change}))
    assert caught.value.violation.field == field
    assert caught.value.violation.remedy


@pytest.mark.parametrize("text", [None, "", "{", "[]", "[" * 5000, '"x"'])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(text)
    assert caught.value.violation.field == "METERTWIN_CONFIG"


@pytest.mark.parametrize("name", ["keys.json", "tls.crt", "tls.key", "ca.crt"])
def test_a_missing_file_is_named(document, tmp_path, name):
    (tmp_path / name).unlink()
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(json.dumps(document))
    assert caught.value.violation.field.endswith(name)


def test_a_wrong_key_is_refused_without_being_shown(document, tmp_path):
    keys = json.loads((tmp_path / "keys.json").read_text())
    secret = "de" * 31 + "zz"
    (tmp_path / "keys.json").write_text(json.dumps({**keys, "up": secret}))
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(json.dumps(document))
    assert caught.value.violation.field == "keys.json.up"
    assert secret not in str(caught.value)
    assert "cd" * 32 not in repr(load_keys(tmp_path, keys, document))


def load_keys(folder, keys, document):
    (folder / "keys.json").write_text(json.dumps(keys))
    return load_configuration(json.dumps(document)).keys


@pytest.mark.parametrize(
    ("selected", "field"),
    [
        ({"billing": {}}, "METERTWIN_CONFIG.applications.billing"),
        (
            {"metering-data": {"retentionDays": "ten"}},
            "METERTWIN_CONFIG.applications.metering-data.retentionDays",
        ),
        ({"power-quality": {"x": 1}}, "METERTWIN_CONFIG.applications.power-quality.x"),
    ],
)
def test_an_application_or_option_that_does_not_exist_is_named(selected, field):
    with pytest.raises(ConfigurationError) as caught:
        build_applications(selected, CONTEXT)
    assert caught.value.violation.field == field


@pytest.mark.parametrize("engines", [{"encrypt": "rot13"}, {"forecast": "sealed-box"}])
def test_an_engine_that_does_not_fit_its_port_is_named(engines):
    with pytest.raises(ConfigurationError) as caught:
        build_engines(engines)
    assert caught.value.violation.field == f"METERTWIN_CONFIG.engines.{next(iter(engines))}"


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_application_has_a_name_a_schema_and_versions(name):
    kind = find_application(name)
    assert kind.name == name
    assert kind.summary
    assert kind.state_versions[0] == max(kind.state_versions)
    assert apply_schema(kind.option_schema, {}, "options") is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(JSON)
def test_the_schema_refuses_or_accepts_any_json_without_another_error(value):
    with contextlib.suppress(OptionError):
        apply_schema(SCHEMA, value, "x")


def test_a_log_field_that_is_not_listed_is_a_bug(capsys):
    with pytest.raises(ValueError, match="value"):
        log.log("info", "x", value=1)
    log.log("info", "x", seq=1)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["what"], line["seq"]) == ("info", "x", 1)


def test_an_exception_is_logged_by_type_and_place_only(capsys):
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("the register is 12345")
    log.log_exception("failed", caught.value)
    text = capsys.readouterr().err
    assert "12345" not in text
    assert "RuntimeError" in text
    assert "test_configuration.py" in text
