"""Who may reach whom on which port: the rendered policies, judged as a network plug-in does.

The parties have the labels of the rendered pods, of a twin (golden file of the operator), of a
meter (`tools/demo/street.py`) and of a reader (docs/reference/contracts.md). A way is open when
the policies of both ends let it through; an end that no policy selects is open (`policy_judge`).
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from policy_judge import Party, is_open, lets_through, matches

ROOT = Path(__file__).resolve().parents[2]
RELEASE = "metertwin-demo"
ROLE = "metertwin.io/role"
ASK = "import json, street; print(json.dumps(street.build_meter_pod('house-1', 'image')))"
PORTS = (53, 443, 1883, 5432, 6432, 6443, 8080, 8443, 8444, 8883, 8884)
RENEWAL = "mosquitto.renewalListener.enabled=true"
NARROW = "networkPolicy.apiServerCidrs={10.0.0.1/32}"


@pytest.fixture(scope="module")
def labels():
    """The labels of the pods that the chart does not render."""
    golden = yaml.safe_load((ROOT / "operator/tests/golden/pod.yaml").read_text())
    path = {"PYTHONPATH": str(ROOT / "tools/demo"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, **path},
    )
    return {
        "twin": golden["metadata"]["labels"],
        "meter": json.loads(done.stdout)["metadata"]["labels"],
        "reader": {ROLE: "reader"},
        "ems": {ROLE: "ems"},
    }


def policies_of(manifests: list[dict]) -> list[dict]:
    return [m for m in manifests if m["kind"] == "NetworkPolicy"]


def rendered_pods(manifests: list[dict]) -> list[Party]:
    """Return the chart's own pods, by the component that their names and Services go by."""
    found = []
    for manifest in manifests:
        spec = manifest.get("spec", {})
        pod = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if manifest["kind"] == "Pod":
            pod = manifest
        if pod is not None:
            labels = pod["metadata"]["labels"]
            component = labels["app.kubernetes.io/component"]
            found.append(Party(component, manifest["metadata"]["namespace"], labels))
    return found


def ours(manifests: list[dict], labels: dict, namespaces: tuple) -> list[Party]:
    """Return every pod that the policies are about."""
    served = [Party(name, at, labels[name]) for name in labels for at in namespaces]
    return rendered_pods(manifests) + served


def others(labels: dict, namespaces: tuple) -> list[Party]:
    """Return who is around. An impostor has a twin's labels where no meter is served."""
    return [
        *[Party("neighbour", at, {"app": "shop"}) for at in namespaces],
        Party("impostor", "elsewhere", labels["twin"]),
        Party("monitoring", "monitoring", {}),
        Party("billing", "billing", {}),
        Party("DNS", "kube-system", {}),
        Party("API server", "", {}, "10.0.0.1"),
        Party("field meter", "", {}, "192.0.2.7"),
        Party("board", "", {}, "10.20.1.1"),
        Party("internet", "", {}, "198.51.100.7"),
        Party("far away", "", {}, "203.0.113.9"),
    ]


def open_ways(policies, mine: list[Party], around: list[Party]) -> dict[str, set[bool]]:
    """Return for each way with one of ours at an end whether it is open, from every namespace."""
    found: dict[str, set[bool]] = {}
    pairs = [*itertools.product(mine, mine + around), *itertools.product(around, mine)]
    for (source, target), protocol, number in itertools.product(pairs, ("TCP", "UDP"), PORTS):
        way = f"{source.name} → {target.name} {protocol} {number}"
        port = {"protocol": protocol, "port": number}
        found.setdefault(way, set()).add(is_open(policies, source, target, port))
    return found


def ways(*rows: tuple) -> set[str]:
    """Spell rows (sources, targets, ports) of TCP."""
    return {
        f"{source} → {target} TCP {port}"
        for sources, targets, ports in rows
        for source, target, port in itertools.product(sources, targets, ports)
    }


API_CLIENTS = ("operator", "pki", "test")
BROKERS = ("operator", "twin", "meter", "ems")
OPTIONAL = ("broker", "archive", "postgres")
OURS = (*API_CLIENTS, "twin", "meter", "reader", "ems")
NOT_OURS = ("neighbour", "impostor", "monitoring", "billing", "DNS", "API server", "field meter", "board", "internet", "far away")  # fmt: skip
ALWAYS = ways(
    (["twin", "reader", "ems"], ["twin"], [8443]),
    (["monitoring"], ["twin", "operator"], [8080]),
    (API_CLIENTS, ["API server"], [443, 6443]),
)
TO_BROKER = ways((BROKERS, ["broker"], [8883]))
FROM_FIELD = ways((["field meter"], ["broker"], [8883]))
TO_RENEWAL = ways((["meter"], ["broker"], [8884]))
FROM_FIELD_TO_RENEWAL = ways((["field meter"], ["broker"], [8884]))
FROM_BOARDS = ways((["board", "meter"], ["broker"], [1883]))
TO_EXTERNAL = ways((BROKERS, NOT_OURS, [8884]))
UTILITY = (
    "networkPolicy.utilityEgress[0].to[0].ipBlock.cidr=198.51.100.0/24",
    "networkPolicy.utilityEgress[0].ports[0].port=443",
    "networkPolicy.utilityEgress[0].ports[0].protocol=TCP",
)
TO_UTILITY = ways((["twin"], ["internet"], [443]))
TWO_STREETS = ("street-a", "street-b")
ARCHIVE = ways(
    (["twin"], ["archive"], [8444]),
    (["reader"], ["archive"], [8443]),
    (["monitoring"], ["archive"], [8080]),
    (["archive"], ["API server"], [443, 6443]),
)
OWN_DATABASE = ways((["archive"], ["postgres"], [5432]))
DATABASE_ELSEWHERE = ways((["archive"], NOT_OURS, [6432]))
FROM_NEIGHBOURS = ways((["neighbour"], ["archive"], [8443]))
FROM_BILLING = ways((["billing"], ["archive"], [8443]))


@pytest.mark.parametrize(
    ("case", "settings", "namespaces", "also"),
    [
        pytest.param("default", [NARROW], [RELEASE], TO_BROKER, id="one namespace"),
        pytest.param("full", ["archive.enabled=false"], TWO_STREETS, TO_BROKER | TO_RENEWAL | FROM_FIELD | FROM_FIELD_TO_RENEWAL, id="two streets and a field"),
        pytest.param("default", [NARROW, "archive.enabled=true"], [RELEASE], TO_BROKER | ARCHIVE | OWN_DATABASE | FROM_NEIGHBOURS, id="an archive"),
        pytest.param("external-database", [NARROW], [RELEASE], TO_BROKER | ARCHIVE | DATABASE_ELSEWHERE | FROM_BILLING, id="an archive with a database elsewhere"),
        pytest.param("default", [NARROW, RENEWAL], [RELEASE], TO_BROKER | TO_RENEWAL, id="a renewal port"),
        pytest.param("constrained", [NARROW], [RELEASE], TO_BROKER | FROM_BOARDS, id="small boards"),
        pytest.param("external-broker", [NARROW], [RELEASE], TO_EXTERNAL, id="a broker elsewhere"),
        pytest.param("default", [NARROW, *UTILITY], [RELEASE], TO_BROKER | TO_UTILITY, id="a utility"),
    ],
)  # fmt: skip
def test_each_reaches_those_it_needs_on_their_port_and_nobody_else(
    render, labels, case, settings, namespaces, also
):
    manifests = render(case, *settings)
    mine = ours(manifests, labels, namespaces)
    names = {party.name for party in mine}
    optional = {part for part in OPTIONAL if any(f"→ {part} TCP" in way for way in also)}
    assert names == {*OURS, *optional}
    found = open_ways(policies_of(manifests), mine, others(labels, namespaces))
    dns = {f"{name} → DNS {protocol} 53" for name in names for protocol in ("TCP", "UDP")}
    assert {way for way, answers in found.items() if answers != {False}} == ALWAYS | also | dns
    assert [way for way, answers in found.items() if len(answers) > 1] == []


DNS = "networkPolicy.dns"
OPENSHIFT = (
    rf"{DNS}.namespaceLabels.kubernetes\.io/metadata\.name=openshift-dns",
    rf"{DNS}.podLabels.dns\.operator\.openshift\.io/daemonset-dns=default",
    f"{DNS}.ports={{5353}}",
)
LABELLED = (
    rf"{DNS}.namespaceLabels.kubernetes\.io/metadata\.name=null",
    f"{DNS}.namespaceLabels.names=here",
)


@pytest.mark.parametrize(
    ("settings", "reached"),
    [
        pytest.param([], {"kube-dns 53", "its neighbour 53"}, id="kube-system"),
        pytest.param([f"{DNS}.podLabels.k8s-app=kube-dns"], {"kube-dns 53"}, id="its pods alone"),
        pytest.param(
            [f"{DNS}.podLabels.k8s-app=kube-dns", f"{DNS}.cidrs={{169.254.20.10/32,fd00::a/128}}"],
            {"kube-dns 53", "NodeLocal 53", "NodeLocal v6 53"},
            id="a cache on the node",
        ),
        pytest.param(OPENSHIFT, {"OpenShift's 5353"}, id="another namespace and port"),
        pytest.param(
            [f"{DNS}.ports={{53,5353}}"],
            {"kube-dns 53", "kube-dns 5353", "its neighbour 53", "its neighbour 5353"},
            id="two ports",
        ),
        pytest.param(LABELLED, {"elsewhere 53"}, id="another label of the namespace"),
    ],
)
def test_names_are_asked_where_dns_is_said_to_be_and_nowhere_else(
    render, labels, settings, reached
):
    manifests = render("default", NARROW, *settings)
    openshift = {"dns.operator.openshift.io/daemonset-dns": "default"}
    servers = [
        Party("kube-dns", "kube-system", {"k8s-app": "kube-dns"}),
        Party("its neighbour", "kube-system", {"k8s-app": "other"}),
        Party("OpenShift's", "openshift-dns", openshift),
        Party("OpenShift's neighbour", "openshift-dns", {}),
        Party("elsewhere", "dns", {}),
        Party("NodeLocal", "", {}, "169.254.20.10"),
        Party("NodeLocal v6", "", {}, "fd00::a"),
        Party("internet", "", {}, "198.51.100.7"),
    ]
    for party in ours(manifests, labels, (RELEASE,)):
        for protocol in ("UDP", "TCP"):
            found = {
                f"{server.name} {port}"
                for server in servers
                for port in (53, 5353)
                if is_open(policies_of(manifests), party, server, {"protocol": protocol, "port": port})
            }  # fmt: skip
            assert found == reached, f"{party.name} {protocol}"


@pytest.mark.parametrize(
    ("case", "namespaces"),
    [("default", (RELEASE,)), ("full", TWO_STREETS), ("constrained", (RELEASE,))],
)
def test_both_ends_of_a_way_between_two_of_ours_say_the_same(render, labels, case, namespaces):
    """So that one end that is opened by mistake opens nothing, and is noticed."""
    manifests = render(case, NARROW)
    policies = policies_of(manifests)
    mine = ours(manifests, labels, namespaces)
    for source, target, number in itertools.product(mine, mine, PORTS):
        port = {"protocol": "TCP", "port": number}
        out = lets_through(policies, "Egress", source, target, port)
        into = lets_through(policies, "Ingress", target, source, port)
        assert out == into, f"{source.name} → {target.name} TCP {number}: {out=}, {into=}"


def test_unless_told_where_the_api_server_is_only_its_clients_reach_any_host_and_on_its_ports(
    render, labels
):
    manifests = render("default")
    mine = ours(manifests, labels, (RELEASE,))
    internet = next(one for one in others(labels, ()) if one.name == "internet")
    found = open_ways(policies_of(manifests), mine, [internet])
    reached = {way for way, answers in found.items() if answers != {False}}
    expected = ways((API_CLIENTS, ["internet"], [443, 6443]))
    assert {way for way in reached if "internet" in way} == expected


@pytest.mark.parametrize("case", ["default", "full"])
@pytest.mark.parametrize("whole", [False, True], ids=["ours alone", "the whole namespace"])
def test_the_denial_selects_every_pod_of_ours_and_others_only_when_asked_to(
    render, labels, case, whole
):
    manifests = render(case, f"networkPolicy.denyWholeNamespace={str(whole).lower()}")
    namespaces = {"default": (RELEASE,), "full": TWO_STREETS}[case]
    denials = {
        policy["metadata"]["namespace"]: policy["spec"]["podSelector"]
        for policy in policies_of(manifests)
        if policy["metadata"]["name"] == "metertwin-deny"
    }
    assert denials.keys() == {RELEASE, *namespaces}
    for party in ours(manifests, labels, namespaces):
        assert matches(denials[party.namespace], party.labels), party.name
    by_role = {"matchExpressions": [{"key": ROLE, "operator": "Exists"}]}
    assert all(selector == ({} if whole else by_role) for selector in denials.values())


@pytest.mark.parametrize("whole", [False, True], ids=["ours alone", "the whole namespace"])
def test_neighbours_of_the_twins_talk_among_themselves_unless_the_whole_namespace_is_denied(
    render, whole
):
    manifests = render("full", f"networkPolicy.denyWholeNamespace={str(whole).lower()}")
    one, other = (Party("neighbour", at, {"app": "shop"}) for at in TWO_STREETS)
    port = {"protocol": "TCP", "port": 5432}
    assert is_open(policies_of(manifests), one, other, port) is not whole
