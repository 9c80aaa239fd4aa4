"""Rules that hold for every way of installing (charts/metertwin/ci), and what each way adds."""

import json
import os
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "charts" / "metertwin"
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())
POD_PATHS = {
    "Pod": lambda m: m,
    "Deployment": lambda m: m["spec"]["template"],
    "StatefulSet": lambda m: m["spec"]["template"],
    "Job": lambda m: m["spec"]["template"],
    "CronJob": lambda m: m["spec"]["jobTemplate"]["spec"]["template"],
}
SMALL = ",".join(
    f"mosquitto.constrainedListener.{one}"
    for one in ("enabled=true", "existingSecret=boards", "allowedCidrs={10.0.0.0/8}")
)
CLUSTER_SCOPED = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}


def pods(manifests: list[dict]) -> list[tuple[str, dict]]:
    return [
        (f"{m['kind']}/{m['metadata']['name']}", POD_PATHS[m["kind"]](m))
        for m in manifests
        if m["kind"] in POD_PATHS
    ]


def find(manifests: list[dict], kind: str, name: str, namespace: str | None = None) -> dict:
    (found,) = [
        m
        for m in manifests
        if (m["kind"], m["metadata"]["name"]) == (kind, name)
        and namespace in (None, m["metadata"].get("namespace"))
    ]
    return found


def names(manifests: list[dict]) -> list[str]:
    return sorted(
        f"{m['kind']} {m['metadata'].get('namespace', '-')}/{m['metadata']['name']}"
        for m in manifests
    )


@pytest.mark.parametrize("case", CASES)
def test_the_objects_are_those_of_the_golden_list(render, case):
    path = HERE / "golden" / f"{case}.txt"
    text = "\n".join(names(render(case))) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("case", CASES)
def test_no_object_is_declared_twice_and_all_have_a_namespace(render, case):
    listed = names(render(case))
    assert len(listed) == len(set(listed))
    for manifest in render(case):
        assert (manifest["kind"] in CLUSTER_SCOPED) == ("namespace" not in manifest["metadata"])


@pytest.mark.parametrize("case", CASES)
def test_every_pod_is_restricted(render, case):
    found = pods(render(case))
    assert len(found) >= 3
    for name, pod in found:
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
            assert forbidden not in pod["spec"], name
        for volume in pod["spec"].get("volumes", []):
            assert "hostPath" not in volume, name
        for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["readOnlyRootFilesystem"] is True, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert "privileged" not in own, name


@pytest.mark.parametrize("case", CASES)
def test_every_container_has_requests_a_memory_limit_and_a_pinned_image(render, case):
    for name, pod in pods(render(case)):
        for container in pod["spec"]["containers"]:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            image = container["image"]
            assert "@sha256:" in image or ":" in image.rsplit("/", 1)[-1], image
            assert not image.endswith(":latest")


@pytest.mark.parametrize("case", CASES)
def test_every_probe_has_more_than_the_one_second_that_a_busy_node_needs(render, case):
    for name, pod in pods(render(case)):
        for container in pod["spec"]["containers"]:
            probes = [container[key] for key in container if key.endswith("Probe")]
            assert all(probe["timeoutSeconds"] >= 3 for probe in probes), name


def test_the_brokers_log_is_not_filled_by_probes(render):
    (broker, _) = find(render("default"), "Deployment", "metertwin-mosquitto")["spec"]["template"]["spec"]["containers"]  # fmt: skip
    assert [key for key in broker if key.endswith("Probe")] == ["startupProbe"]


@pytest.mark.parametrize("case", CASES)
def test_no_template_makes_a_secret(render, case):
    text = json.dumps(render(case))
    assert not [m for m in render(case) if m["kind"] == "Secret"]
    assert "PRIVATE KEY" not in text
    assert r"BEGIN CERTIFICATE-----\n" not in text


@pytest.mark.parametrize("case", CASES)
def test_every_pod_states_whether_it_has_a_token_and_only_api_clients_do(render, case):
    with_token = {n for n, p in pods(render(case)) if p["spec"]["automountServiceAccountToken"]}
    allowed = {"Deployment/metertwin-operator", "Job/metertwin-pki-init", "CronJob/metertwin-pki"}
    assert with_token - {"Deployment/metertwin-archive"} == allowed | {"Pod/metertwin-test"}
    for manifest in render(case):
        if manifest["kind"] == "ServiceAccount":
            assert manifest["automountServiceAccountToken"] is False


@pytest.mark.parametrize("case", CASES)
def test_every_object_has_the_recommended_labels(render, case):
    for manifest in render(case):
        labels = manifest["metadata"]["labels"]
        for name in ("name", "instance", "version", "part-of", "managed-by"):
            assert f"app.kubernetes.io/{name}" in labels, manifest["metadata"]["name"]


@pytest.mark.parametrize("case", CASES)
def test_selectors_find_their_pods(render, case):
    manifests = render(case)
    labels = [p["metadata"]["labels"] for _, p in pods(manifests)]
    for manifest in manifests:
        if manifest["kind"] == "Service":
            wanted = manifest["spec"]["selector"].items()
        elif manifest["kind"] in {"Deployment", "StatefulSet", "PodDisruptionBudget"}:
            wanted = manifest["spec"]["selector"]["matchLabels"].items()
        else:
            continue
        assert len([found for found in labels if wanted <= found.items()]) == 1


@pytest.mark.parametrize("case", CASES)
def test_no_role_has_a_wildcard_or_reads_all_secrets_of_a_cluster(render, case):
    for manifest in render(case):
        for rule in manifest.get("rules", []):
            for field in ("verbs", "resources", "apiGroups"):
                assert "*" not in rule.get(field, []), manifest["metadata"]["name"]
            if manifest["kind"] == "ClusterRole":
                assert "secrets" not in rule["resources"]


@pytest.mark.parametrize("case", CASES)
def test_every_pod_of_ours_is_denied_what_is_not_allowed(render, case):
    manifests = render(case)
    policies = [m for m in manifests if m["kind"] == "NetworkPolicy"]
    denials = [p for p in policies if p["metadata"]["name"] == "metertwin-deny"]
    served = {m["metadata"]["namespace"] for m in manifests if m["kind"] == "ServiceAccount"}
    assert {p["metadata"]["namespace"] for p in denials} == served
    for policy in denials:
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in policy["spec"]
        assert "egress" not in policy["spec"]
    for name, pod in pods(manifests):
        assert "metertwin.io/role" in pod["metadata"]["labels"], name


def test_the_page_of_roles_holds_every_rule_that_helm_renders(render):
    page = (CHART.parents[1] / "docs/reference/rbac.md").read_text()
    rows = {tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in page.splitlines() if line.startswith("| `")}  # fmt: skip
    rendered = set()
    for manifest in render("default", "archive.enabled=true"):
        name = manifest["metadata"]["name"].replace("metertwin-metertwin-demo-", "metertwin-metertwin-")  # fmt: skip
        for rule in manifest.get("rules", []):
            things = ", ".join(f"`{thing}`" for thing in rule["resources"])
            group = rule["apiGroups"][0] or "core"
            limited = ", ".join(f"`{one}`" for one in rule.get("resourceNames", [])) or "all"
            rendered.add((f"`{name}`", ", ".join(rule["verbs"]), f"{things} ({group})", limited))
    assert {(row[0], *row[2:]) for row in rows} == rendered


@pytest.mark.parametrize(("value", "limit"), [("1536", "1536"), ("1400", "1400")])
def test_the_operator_knows_how_large_a_message_its_broker_passes(render, value, limit):
    manifests = render("default", f"mosquitto.messageSizeLimit={value}")
    operator = find(manifests, "Deployment", "metertwin-operator")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["METERTWIN_MESSAGE_SIZE_LIMIT"] == limit


@pytest.mark.parametrize(
    ("settings", "made"), [((), True), (("operator.watchNodes=false",), False)], ids=["on", "off"]
)
def test_the_operator_lists_nodes_only_if_it_may_watch_them(render, settings, made):
    manifests = render("default", *settings)
    rules = [
        rule
        for manifest in manifests
        for rule in manifest.get("rules", [])
        if "nodes" in rule["resources"]
    ]
    wanted = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    assert rules == (wanted if made else [])
    operator = find(manifests, "Deployment", "metertwin-operator")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["METERTWIN_WATCH_NODES"] == str(made).lower()
    assert env["METERTWIN_HANDOVER"] == "true"
    assert [m for m in manifests if m["kind"] == "ClusterRoleBinding"] == [] or made


@pytest.mark.parametrize("case", CASES)
def test_a_reader_reaches_twins_and_the_archive_on_their_port_for_readers_and_nothing_else(
    render, case
):
    """Both ends have to allow it, as every pod with a role is denied all else."""
    policies = [m for m in render(case) if m["kind"] == "NetworkPolicy"]
    twins = [p["spec"] for p in policies if p["metadata"]["name"] == "metertwin-twin"]
    readers = [p["spec"] for p in policies if p["metadata"]["name"] == "metertwin-reader"]
    assert twins
    assert len(twins) == len(readers)
    for spec in twins:
        ports = [rule["ports"] for rule in spec["ingress"] if "reader" in json.dumps(rule["from"])]
        assert ports == [[{"protocol": "TCP", "port": 8443}]]
    for spec in readers:
        assert spec["podSelector"] == {"matchLabels": {"metertwin.io/role": "reader"}}
        assert [rule["ports"] for rule in spec["egress"]] == [ports[0]] * len(spec["egress"])
        assert '"twin"' in json.dumps(spec["egress"][0]["to"])
        assert all('"archive"' in json.dumps(rule["to"]) for rule in spec["egress"][1:])


def test_the_definitions_are_kept_when_the_release_is_removed(render):
    found = [m for m in render("default") if m["kind"] == "CustomResourceDefinition"]
    assert {m["metadata"]["name"] for m in found} == {
        "smartmeters.metertwin.io",
        "twinprofiles.metertwin.io",
        "utilities.metertwin.io",
    }
    for manifest in found:
        assert manifest["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        source = CHART.parents[1] / "crds" / f"{manifest['metadata']['name'].split('.')[0]}.metertwin.io.yaml"  # fmt: skip
        assert manifest["spec"] == yaml.safe_load(source.read_text())["spec"]


def test_a_digest_wins_over_a_tag(render):
    digest = "sha256:" + "a" * 64
    manifests = render("default", "operator.image.tag=9.9", f"operator.image.digest={digest}")
    (container,) = find(manifests, "Deployment", "metertwin-operator")["spec"]["template"]["spec"]["containers"]  # fmt: skip
    assert container["image"] == f"localhost/metertwin/operator@{digest}"


def test_the_broker_is_never_two_at_once(render):
    assert find(render("default"), "Deployment", "metertwin-mosquitto")["spec"]["strategy"] == {
        "type": "Recreate"
    }


def test_with_an_external_broker_no_mosquitto_is_installed(render):
    manifests = render("external-broker")
    assert not [name for name in names(manifests) if "mosquitto" in name]
    assert "mqtt.example.org" in json.dumps(find(manifests, "Deployment", "metertwin-operator"))
    (job,) = [m for m in manifests if m["kind"] == "Job"]
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert "--broker-secret=" in command
    assert "--ca-secret=company-ca" in command


def test_the_unencrypted_port_is_off_unless_asked_for(render):
    assert "1883" not in json.dumps(render("default"))
    assert "1883" in json.dumps(render("constrained"))


def test_the_renewal_port_is_off_unless_asked_for(render):
    assert "renewal.conf" not in json.dumps(render("default"))
    manifests = render("default", "mosquitto.renewalListener.enabled=true")
    ports = find(manifests, "Service", "metertwin-mosquitto")["spec"]["ports"]
    assert [(one["port"], one["targetPort"]) for one in ports] == [(8883, "mqtts"), (8884, "renewal")]  # fmt: skip


def flag_of(setting: str) -> str:
    """`--set` makes a number of `0`, which is refused for its type and tells nothing of its text."""
    texts = ("mosquitto.persistence.size", "broker.externalHost", "operator.image.")
    return "--set-string" if setting.startswith(texts) else "--set"


@pytest.mark.parametrize("case", ["default", "constrained", "full"])
def test_whatever_the_broker_reads_is_watched_for_changes(render, case):
    (pod,) = [
        one["spec"]["template"]["spec"]
        for one in render(case)
        if one["kind"] == "Deployment" and one["metadata"]["name"].endswith("mosquitto")
    ]
    *brokers, reload = pod["containers"]
    assert len(brokers) == (2 if case == "full" else 1)
    read = {
        row["mountPath"] for one in brokers for row in one["volumeMounts"] if row.get("readOnly")
    }
    assert set(reload["env"][0]["value"].split()) == read
    assert {one["mountPath"] for one in reload["volumeMounts"]} == read
    assert ("/mosquitto/passwords" in read) == (case == "constrained")


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("mosquitto.constrainedListener.enabled=true", "existingSecret"),
        ("mosquitto.renewalListener.port=8883", "renewalListener"),
        (
            "mosquitto.renewalListener.enabled=true,mosquitto.renewalListener.port=18840",
            "port 18840",
        ),
        (
            f"mosquitto.renewalListener.enabled=true,mosquitto.renewalListener.port=1883,{SMALL}",
            "port 1883",
        ),
        ("operator.image.tag=latest", "operator/image/tag"),
        ("mosquitto.messageSizeLimit=100", "messageSizeLimit"),
        ("mosquitto.messageSizeLimit=1901", "messageSizeLimit"),
        ("operator.image.digest=sha256:abc", "digest"),
        ("mosqitto.maxConnections=5", "mosqitto"),
        ("operator.replicas=0", "replicas"),
        ("meterNamespaces={A_B}", "meterNamespaces"),
        ("mosquitto.persistence.size=abc", "size"),
        ("mosquitto.persistence.size=1GB", "size"),
        ("mosquitto.persistence.size=-1Gi", "size"),
        ("mosquitto.persistence.size=0", "size"),
        ("mosquitto.persistence.size=0Gi", "size"),
        ("mosquitto.persistence.size=0.0Gi", "size"),
        ("mosquitto.persistence.size=00", "size"),
        ("mosquitto.persistence.size=.5Gi", "size"),
        ("broker.externalHost=a b", "externalHost"),
        ("broker.externalHost=mqtt.example.org:8883", "externalHost"),
        ("broker.externalHost=mqtts://mqtt.example.org", "externalHost"),
        ("broker.externalHost=-mqtt", "externalHost"),
        ("broker.externalHost=mqtt.-example.org", "externalHost"),
        ("broker.externalHost=a..b", "externalHost"),
        ("broker.externalHost=mqtt.", "externalHost"),
        ("broker.externalHost=ab:8883", "externalHost"),
        ("broker.externalHost=ab:8883:", "externalHost"),
        ("broker.externalHost=192.0.2.1:8883", "externalHost"),
        ("broker.externalHost=1::2::3", "externalHost"),
        ("broker.externalHost=1:2:3:4:5:6:7:8:9", "externalHost"),
        ("networkPolicy.apiServerCidrs=", "apiServerCidrs"),
        ("networkPolicy.dns.ports=", "ports"),
        ("networkPolicy.dns.ports={0}", "ports"),
        ("networkPolicy.dns.ports={65536}", "ports"),
        ("networkPolicy.dns.cidrs={}", "cidrs"),
        ("networkPolicy.dns.namespaceLabels=null", "namespaceLabels"),
        ("networkPolicy.dns.namespaces={kube-system}", "namespaces"),
        (
            r"networkPolicy.dns.namespaceLabels.kubernetes\.io/metadata\.name=null",
            "namespaceLabels",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm, setting, complaint):
    done = helm("template", "x", str(CHART), flag_of(setting), setting)
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        "mosquitto.persistence.size=0.5Gi",
        "mosquitto.persistence.size=1Gi",
        "mosquitto.persistence.size=10.0Gi",
        "mosquitto.persistence.size=1000000000",
        "mosquitto.persistence.size=200M",
        "broker.externalHost=mqtt-1.example.org",
        "broker.externalHost=192.0.2.1",
        "broker.externalHost=2001:db8::1",
        "broker.externalHost=2001:db8:0:0:0:0:0:1",
        "broker.externalHost=fe80::1:2",
        "broker.externalHost=::1",
        "broker.externalHost=::ffff:192.0.2.1",
        "broker.externalHost=mqtt",
        "broker.externalHost=",
    ],
)
def test_a_size_and_a_host_as_kubernetes_takes_them_are_taken(helm, setting):
    done = helm("template", "x", str(CHART), flag_of(setting), setting)
    assert done.returncode == 0, done.stderr


def test_an_old_cluster_is_refused(helm):
    done = helm("template", "x", str(CHART), "--kube-version", "1.29.0")
    assert done.returncode != 0
    assert "kubeVersion" in done.stderr


@pytest.mark.parametrize("case", CASES)
def test_helm_lint_finds_nothing(helm, case):
    done = helm("lint", str(CHART), "--strict", "-f", str(CHART / "ci" / f"{case}-values.yaml"))
    assert done.returncode == 0, done.stdout


def test_the_demo_uses_the_images_that_are_built_here(render):
    images = {c["image"] for _, pod in pods(render("demo")) for c in pod["spec"]["containers"]}
    built = ("operator", "mosquitto", "archive", "postgres")
    assert images == {f"localhost/metertwin/{name}:dev" for name in built}
    env = find(render("demo"), "Deployment", "metertwin-operator")["spec"]["template"]["spec"]["containers"][0]["env"]  # fmt: skip
    assert "localhost/metertwin/twin:dev" in [entry.get("value") for entry in env]
