"""What the demo applies for a home: what it is told fits the street, the image and the network."""

from pathlib import Path

import pytest
import yaml
from home_ems.__main__ import build_parser
from meter_pki.identities import reader_identity

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def spec():
    (manifest,) = yaml.safe_load_all((HERE / "home.yaml").read_text())
    assert manifest["kind"] == "Deployment"
    template = manifest["spec"]["template"]
    assert manifest["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()  # fmt: skip
    assert template["metadata"]["labels"]["metertwin.io/role"] == "ems"
    return template["spec"]


@pytest.fixture(scope="module")
def given(spec):
    (container,) = spec["containers"]
    return build_parser().parse_args(container["args"])


def test_its_meter_names_it(given):
    documents = yaml.safe_load_all((ROOT / "examples/street.yaml").read_text())
    meters = {one["metadata"]["name"]: one["spec"] for one in documents if one}
    reader = meters[given.device]["ems"]["name"]
    assert given.user == reader_identity(reader).common_name
    assert [name for name, one in meters.items() if "ems" in one] == [given.device]


def test_it_finds_its_certificate(spec, given):
    (container,) = spec["containers"]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert mounts == {"tls": str(given.certificates)}
    assert [one["secret"]["secretName"] for one in spec["volumes"]] == ["ems-home-2"]


def test_it_goes_to_the_broker_of_the_chart(given):
    assert given.mqtt == "metertwin-mosquitto.metertwin-demo.svc"
    assert 0 < given.period <= 60


def test_it_may_do_nothing_on_its_node(spec):
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
