"""What the roles for people allow, asked as `kubectl auth can-i` would: by the rendered rules."""

from typing import NamedTuple

import pytest

SYSTEM = "metertwin-demo"
READER, OPERATOR = "metertwin-meter-reader", "metertwin-meter-operator"
ADMIN, PROVISIONER = "metertwin-meter-admin", "metertwin-provisioner"
EVERYBODY = (READER, OPERATOR, ADMIN, PROVISIONER)


class Question(NamedTuple):
    """`kubectl auth can-i VERB RESOURCE/NAME -n NAMESPACE` for who has this role only."""

    role: str
    verb: str
    resource: str
    name: str = "any"
    namespace: str = "street-a"


def can_i(manifests: list[dict], question: Question) -> bool:
    rules = [
        rule
        for manifest in manifests
        if manifest["kind"] == "Role"
        and manifest["metadata"]["name"] == question.role
        and manifest["metadata"]["namespace"] == question.namespace
        for rule in manifest["rules"]
    ]
    return any(
        question.verb in rule["verbs"]
        and question.resource in rule["resources"]
        and question.name in rule.get("resourceNames", [question.name])
        for rule in rules
    )


METERS_ARE_SEEN = [Question(role, "list", "smartmeters") for role in (READER, OPERATOR, ADMIN)]
REGISTERS_ARE_READ = [
    Question(role, verb, resource)
    for role in (OPERATOR, ADMIN)
    for verb, resource in (
        ("get", "smartmeters"),
        ("get", "pods"),
        ("create", "pods/portforward"),
    )
]
METERS_ARE_DECLARED = [
    Question(ADMIN, verb, resource)
    for verb in ("create", "update", "patch", "delete")
    for resource in ("smartmeters", "twinprofiles", "utilities")
]
DEVICES_ARE_PROVISIONED = [
    Question(PROVISIONER, "get", "secrets", "metertwin-ca", SYSTEM),
    Question(PROVISIONER, "get", "secrets", "metertwin-fleet-key", SYSTEM),
    Question(ADMIN, "create", "secrets", "meter-house-1"),
]


@pytest.mark.parametrize(
    "question",
    [*METERS_ARE_SEEN, *REGISTERS_ARE_READ, *METERS_ARE_DECLARED, *DEVICES_ARE_PROVISIONED],
    ids=str,
)
def test_a_person_may_do_what_the_guide_says(render, question):
    assert can_i(render("full"), question)


@pytest.mark.parametrize("verb", ["get", "list", "watch", "update", "patch", "delete"])
@pytest.mark.parametrize("namespace", ["street-a", SYSTEM])
@pytest.mark.parametrize("role", EVERYBODY)
def test_nobody_reads_or_changes_the_secret_of_a_twin(render, role, namespace, verb):
    question = Question(role, verb, "secrets", "house-1-e1", namespace)
    assert not can_i(render("full"), question)


FORBIDDEN = [
    Question(READER, "create", "pods/portforward"),
    Question(READER, "get", "pods/log"),
    Question(OPERATOR, "patch", "smartmeters"),
    Question(OPERATOR, "create", "secrets"),
    Question(ADMIN, "get", "secrets", "metertwin-fleet-key", SYSTEM),
    Question(ADMIN, "patch", "smartmeters/status"),
    Question(OPERATOR, "patch", "utilities"),
    Question(ADMIN, "delete", "pods"),
    Question(PROVISIONER, "patch", "secrets", "metertwin-ca", SYSTEM),
]


@pytest.mark.parametrize("question", FORBIDDEN, ids=str)
def test_a_person_may_not_do_more(render, question):
    assert not can_i(render("full"), question)
