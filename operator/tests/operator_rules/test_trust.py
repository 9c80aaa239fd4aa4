"""Twins of another namespace find the CA there, and nobody else's is overwritten."""

import logging

import pytest
from meter_operator.trust import ensure_trust


@pytest.fixture
def two(operator, tmp_path):
    trust = tmp_path / "ca.crt"
    trust.write_text("the CA\n")
    operator.restart(trust=trust)
    operator.restart(watch_namespaces=("street", "avenue"))
    return operator


def trust_of(operator, namespace):
    return operator.cluster.objects.get(("configmaps", namespace, "metertwin-trust"))


async def test_another_namespace_gets_the_trust_and_our_own_is_the_charts(two):
    await ensure_trust(two.cluster, two.settings)
    assert trust_of(two, "avenue")["data"] == {"ca.crt": "the CA\n"}
    assert trust_of(two, "street") is None


async def test_an_unchanged_trust_is_not_written_and_a_rotated_one_is(two):
    await ensure_trust(two.cluster, two.settings)
    before = two.cluster.writes
    await ensure_trust(two.cluster, two.settings)
    assert two.cluster.writes == before
    two.settings.trust.write_text("the CA\nthe next CA\n")
    await ensure_trust(two.cluster, two.settings)
    assert trust_of(two, "avenue")["data"] == {"ca.crt": "the CA\nthe next CA\n"}


async def test_the_trust_of_another_release_stays_and_the_remedy_is_told(two, caplog):
    foreign = {"metadata": {"name": "metertwin-trust"}, "data": {"ca.crt": "another CA"}}
    two.cluster._store(("configmaps", "avenue", "metertwin-trust"), foreign)
    with caplog.at_level(logging.ERROR):
        await ensure_trust(two.cluster, two.settings)
    assert trust_of(two, "avenue")["data"] == {"ca.crt": "another CA"}
    assert "meterNamespaces" in caplog.text
    assert "another CA" in caplog.text
