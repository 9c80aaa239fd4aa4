"""The archive and its PostgreSQL as the chart renders them: where it is off, on, or elsewhere."""

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

CHART = Path(__file__).resolve().parents[1] / "metertwin"
ON = "archive.enabled=true"
PARAMETERS = "archive.postgres.parameters"


def find(manifests: list[dict], kind: str, name: str) -> dict:
    (found,) = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def pod_of(manifests: list[dict], kind: str, name: str) -> dict:
    return find(manifests, kind, name)["spec"]["template"]["spec"]


def settings_of(container: dict) -> dict:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def configuration(manifests: list[dict]) -> dict[str, str]:
    """Return the settings of postgresql.conf; the last of a name is the one that counts."""
    text = find(manifests, "ConfigMap", "metertwin-postgres")["data"]["postgresql.conf"]
    return dict(re.findall(r"^(\S+) = '(.*)'$", text, re.MULTILINE))


def test_unless_asked_for_there_is_no_archive_and_nobody_hears_of_one(render):
    text = json.dumps([m for m in render("default") if m["kind"] != "CustomResourceDefinition"])
    assert "metertwin-archive" not in text
    assert "postgres" not in text
    assert "METERTWIN_ARCHIVE" not in text


def test_the_operator_is_told_where_twins_push(render):
    (operator,) = pod_of(render("default", ON), "Deployment", "metertwin-operator")["containers"]
    found = settings_of(operator)
    assert found["METERTWIN_ARCHIVE_HOST"] == "metertwin-archive.metertwin-demo.svc"
    service = find(render("default", ON), "Service", "metertwin-archive")
    assert int(found["METERTWIN_ARCHIVE_PORT"]) in [one["port"] for one in service["spec"]["ports"]]


def test_migrating_and_serving_have_the_same_settings_and_files(render):
    pod = pod_of(render("full"), "Deployment", "metertwin-archive")
    (migrate,), (serve,) = pod["initContainers"], pod["containers"]
    assert (migrate["command"][-1], serve["command"][-1]) == ("migrate", "serve")
    assert settings_of(serve)["METERTWIN_ARCHIVE_NAMESPACES"] == "street-a,street-b"
    for part in ("image", "env", "volumeMounts"):
        assert migrate[part] == serve[part]


def test_the_archive_finds_each_file_that_its_url_names(render):
    (container,) = pod_of(render("default", ON), "Deployment", "metertwin-archive")["containers"]
    mounted = {one["mountPath"] for one in container["volumeMounts"]}
    url = settings_of(container)["METERTWIN_ARCHIVE_DATABASE"]
    files = dict(re.findall(r"(ssl\w+)=(/[^&]+)", url))
    assert files.keys() == {"sslrootcert", "sslcert", "sslkey"}
    assert {str(Path(file).parent) for file in files.values()} <= mounted
    assert "sslmode=verify-full" in url
    assert ":" not in url.removeprefix("postgresql://").split("@")[0], "there is no password"


def test_with_a_database_elsewhere_none_is_made_and_the_url_stays_in_its_secret(render):
    manifests = render("external-database")
    assert not [m for m in manifests if "postgres" in m["metadata"]["name"]]
    (container,) = pod_of(manifests, "Deployment", "metertwin-archive")["containers"]
    reference = {"secretKeyRef": {"name": "company-postgres", "key": "url"}}
    assert settings_of(container)["METERTWIN_ARCHIVE_DATABASE"] == reference
    (job,) = [m for m in manifests if m["kind"] == "Job"]
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert "--archive-secret=metertwin-archive-tls" in command
    assert not [one for one in command if one.startswith(("--archive-client", "--postgres"))]


def test_whatever_the_configuration_names_is_mounted(render):
    (container,) = pod_of(render("full"), "StatefulSet", "metertwin-postgres")["containers"]
    mounted = {one["mountPath"] for one in container["volumeMounts"]}
    found = configuration(render("full"))
    files = [found[name] for name in found if name.endswith("_file")]
    assert len(files) == 5
    assert {str(Path(file).parent) for file in files} <= mounted
    assert found["unix_socket_directories"] in mounted


def test_nobody_has_a_password_and_only_the_archive_comes_over_the_network(render):
    data = find(render("full"), "ConfigMap", "metertwin-postgres")["data"]
    rules = [line.split() for line in data["pg_hba.conf"].splitlines()]
    assert {rule[3] if rule[0] == "local" else rule[4] for rule in rules} == {"peer", "cert"}
    remote = [rule for rule in rules if rule[0] != "local"]
    assert remote == [["hostssl", "metertwin", "metertwin", "all", "cert", "map=archive"]]
    people = [line.split() for line in data["pg_ident.conf"].splitlines()]
    assert [row[1:] for row in people if row[0] == "archive"] == [
        ["Archive.metertwin", "metertwin"]
    ]


def test_the_users_settings_of_postgresql_are_added_with_their_quotes(render):
    found = configuration(render("full"))
    assert found["archive_command"] == "cp %p ''/var/lib/postgresql/wal/%f''"
    assert (found["shared_buffers"], found["autovacuum_naptime"]) == ("1GB", "30")
    assert found["max_wal_size"] == "2GB", "what is not named stays as it is"


@pytest.mark.parametrize(
    "setting",
    [
        f"{PARAMETERS}.fsync=off",
        f"{PARAMETERS}.synchronous_commit=off",
        f"{PARAMETERS}.ssl=off",
        f"{PARAMETERS}.log_statement=all",
        f"{PARAMETERS}.hba_file=/tmp/mine",
    ],
)
def test_durability_tls_and_a_silent_log_cannot_be_switched_off(helm, setting):
    done = helm("template", "x", str(CHART), "--set", ON, "--set-string", setting)
    assert done.returncode != 0
    assert f"{setting.split('=')[0].split('.')[-1]} is the chart's own" in done.stderr


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        (f"{PARAMETERS}.Fsync=off", "Fsync"),
        (f"{PARAMETERS}.work_mem=1MB\nfsync = off", "parameters"),
        (f"{PARAMETERS}.work_mem=\\\\'", "parameters"),
        ("archive.postgres.storage.size=20GB", "size"),
        ("archive.replicas=0", "replicas"),
        ("archive.retentionDays=0", "retentionDays"),
        ("archive.auditDays=0", "auditDays"),
    ],
)
def test_a_wrong_value_of_the_archive_is_refused_by_name(helm, setting, complaint):
    flag = "--set" if setting.endswith("=0") else "--set-string"
    done = helm("template", "x", str(CHART), "--set", ON, flag, setting)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_template_of_the_claim_is_the_same_in_each_version(render):
    """Kubernetes refuses an upgrade that changes it."""
    database = find(render("default", ON), "StatefulSet", "metertwin-postgres")["spec"]
    (claim,) = database["volumeClaimTemplates"]
    assert claim["metadata"]["labels"] == database["selector"]["matchLabels"]
    assert "storageClassName" not in claim["spec"], "the cluster's default"
    mine = render("default", ON, "archive.postgres.storage.existingClaim=mine")
    database = find(mine, "StatefulSet", "metertwin-postgres")["spec"]
    assert "volumeClaimTemplates" not in database
    volumes = {one["name"]: one for one in database["template"]["spec"]["volumes"]}
    assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "mine"}


def test_a_long_recovery_is_never_killed(render):
    (container,) = pod_of(render("full"), "StatefulSet", "metertwin-postgres")["containers"]
    assert "livenessProbe" not in container
    start = container["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 24 * 3600


INITDB = """#!/bin/sh
for option; do case "$option" in --pgdata=*) folder="${option#--pgdata=}" ;; esac; done
mkdir "$folder" && touch "$folder/PG_VERSION"
[ ! -e refuse ]
"""
POSTGRES = """#!/bin/sh
cat > new/statements
"""


@pytest.fixture
def first_start(tmp_path):
    """Return a function that runs the script over a volume with fake programs, and the volume."""
    programs, volume = tmp_path / "bin", tmp_path / "volume"
    programs.mkdir()
    volume.mkdir()
    for name, text in (("initdb", INITDB), ("postgres", POSTGRES)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    script = (CHART / "files/initdb.sh").read_text().replace("/var/lib/postgresql", str(volume))

    def start() -> int:
        path = f"{programs}:{os.environ['PATH']}"
        return subprocess.run(["sh", "-c", script], check=False, env={"PATH": path}).returncode

    return start, volume


def test_an_empty_volume_gets_a_cluster_with_the_archives_role_and_database(first_start):
    start, volume = first_start
    assert start() == 0
    assert [path.name for path in volume.iterdir()] == ["data"]
    statements = (volume / "data/statements").read_text()
    assert "CREATE ROLE metertwin LOGIN\n" in statements
    assert "CREATE DATABASE metertwin OWNER metertwin\n" in statements
    assert "SUPERUSER" not in statements


def test_a_first_start_that_was_interrupted_leaves_no_half_cluster(first_start):
    start, volume = first_start
    (volume / "refuse").touch()
    assert start() != 0
    assert not (volume / "data").exists()
    (volume / "refuse").unlink()
    assert start() == 0
    assert [path.name for path in volume.iterdir()] == ["data"]


def test_a_cluster_that_is_there_is_kept_and_is_its_owners_alone(first_start):
    start, volume = first_start
    assert start() == 0
    (volume / "data/mine").touch()
    (volume / "data").chmod(0o2770)  # as a mount with fsGroup leaves it
    assert start() == 0
    assert (volume / "data/mine").exists()
    assert stat.S_IMODE((volume / "data").stat().st_mode) & 0o777 == 0o700
