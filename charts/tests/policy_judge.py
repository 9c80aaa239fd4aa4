"""Whether network policies let a connection through, judged as a network plug-in does.

What the judge does not know it refuses, so that no new word of a template is passed over.
Neighbour: `test_network_policies.py`, which names the parties.
"""

import ipaddress
from typing import NamedTuple

NAMESPACE = "kubernetes.io/metadata.name"
NAMESPACE_LABELS = {"dns": {"names": "here"}}
"""What namespaces are labelled with besides their names."""
OPERATORS = {
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "In": lambda value, values: value in values,
}


class Party(NamedTuple):
    """A pod, or with an empty namespace something outside the cluster."""

    name: str
    namespace: str
    labels: dict
    address: str = "10.244.0.9"


def matches(selector: dict, labels: dict) -> bool:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        OPERATORS[one["operator"]](labels.get(one["key"]), one.get("values"))
        for one in selector.get("matchExpressions", [])
    )


def is_meant(peer: dict, home: str, party: Party) -> bool:
    """Whether a peer of a rule, in a policy of the namespace `home`, is this party."""
    if "ipBlock" in peer:
        assert (peer.keys(), peer["ipBlock"].keys()) == ({"ipBlock"}, {"cidr"})
        block = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return ipaddress.ip_address(party.address) in block
    assert peer
    assert peer.keys() <= {"namespaceSelector", "podSelector"}
    namespaces = peer.get("namespaceSelector", {"matchLabels": {NAMESPACE: home}})
    return (
        bool(party.namespace)
        and matches(
            namespaces, {NAMESPACE: party.namespace, **NAMESPACE_LABELS.get(party.namespace, {})}
        )
        and matches(peer.get("podSelector", {}), party.labels)
    )


def lets_through(policies, direction: str, party: Party, other: Party, port: dict) -> bool:
    """Whether the policies of one end let a connection in (Ingress) or out (Egress)."""
    mine = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == party.namespace
        and direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], party.labels)
    ]
    end = {"Ingress": "from", "Egress": "to"}[direction]
    for policy in mine:
        for rule in policy["spec"].get(direction.lower(), []):
            assert rule.keys() <= {end, "ports"}
            assert all(one.keys() == {"protocol", "port"} for one in rule.get("ports", []))
            # Without peers or without ports a rule means all of them.
            peers, ports = rule.get(end) or [], rule.get("ports") or [port]
            named = [is_meant(one, policy["metadata"]["namespace"], other) for one in peers]
            if port in ports and (any(named) or not named):
                return True
    return not mine


def is_open(policies, source: Party, target: Party, port: dict) -> bool:
    return lets_through(policies, "Egress", source, target, port) and lets_through(
        policies, "Ingress", target, source, port
    )
