"""What kubectl says when the API refuses: which field, and what to do."""

import pytest
from kubectl_meter.refusals import explain


def forbidden(verb, resource, group=' in API group "metertwin.io"'):
    who = f'User "ana" cannot {verb} resource "{resource}"{group} in the namespace "demo"'
    return f'Error from server (Forbidden): {resource} "house-1" is forbidden: {who}'


FORBIDDEN = [
    ("patch", "smartmeters", "metertwin-meter-admin", "patch smartmeters"),
    ("patch", "twinprofiles", "metertwin-meter-admin", "patch twinprofiles"),
    ("get", "smartmeters", "metertwin-meter-reader", "get smartmeters"),
    ("list", "twinprofiles", "metertwin-meter-reader", "list twinprofiles"),
    ("create", "pods/portforward", "metertwin-meter-operator", "create pods --subresource=portforward"),
    ("create", "secrets", "metertwin-meter-admin", "create secrets"),
    ("get", "secrets", "metertwin-provisioner", "get secrets"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "resource", "role", "ask"), FORBIDDEN)
def test_who_lacks_a_right_is_told_which_one_and_the_role_that_has_it(verb, resource, role, ask):
    error = explain(forbidden(verb, resource))
    assert error.message.startswith("(Forbidden): ")
    assert error.field == f"{verb} {resource}"
    assert f"role {role} " in error.remedy
    assert f"`kubectl auth can-i {ask}`" in error.remedy


ONE = (
    'The TwinProfile "household" is invalid: spec.twin.version: Invalid value: "a b": must be a tag'
)
MORE = """The SmartMeter "house-1" is invalid:
* spec.meteringPoint.id: Invalid value: "1": an EAN metering point has 18 digits
* spec.dataPolicy.recipients[0].name: Required value"""


def test_a_value_that_the_api_refuses_has_its_field_and_the_apis_reason():
    error = explain(ONE)
    assert error.message == '(Invalid) twinprofile household: Invalid value: "a b": must be a tag'
    assert error.field == "spec.twin.version"
    assert "`kubectl explain twinprofile.spec.twin.version`" in error.remedy


def test_of_several_values_each_is_told():
    error = explain(MORE)
    assert error.field == "spec.meteringPoint.id"
    assert "has 18 digits; spec.dataPolicy.recipients[0].name: Required value" in error.message


def test_an_index_is_no_part_of_what_kubectl_explains():
    said = 'The SmartMeter "x" is invalid: spec.dataPolicy.recipients[0].name: Required value'
    assert "explain smartmeter.spec.dataPolicy.recipients.name`" in explain(said).remedy


@pytest.mark.parametrize("said", ['admission webhook "x" denied the request: no', ""])
def test_what_is_not_known_is_told_as_it_is(said):
    error = explain(said)
    assert (error.message, error.field) == (said or "kubectl failed and said nothing", "")
