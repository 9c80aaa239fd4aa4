"""A meter whose certificate nobody takes any more comes back by its symmetric key, with all it has.

Its Secret gets a certificate that has ended, or one of a CA that is trusted no more, and knows the
renewal port; its process starts anew with that. The firmware keeps what it is given, so the next
start needs no renewal.
"""

import base64
import contextlib
import datetime as dt
import json
import os
import subprocess
import sys

import pytest
from demo import ROOT, answers, environment, get, kubectl, restarts, secret, until
from meter_pki.authority import Authority, key_to_der, pem_to_der
from meter_pki.identities import meter_identity

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(1800)]
EXPIRED, ORPHAN = "house-7", "house-5"
CA, OPERATOR, BROKER = "metertwin-ca", "metertwin-operator", "metertwin-mosquitto"
PORT = 8884
"""`mosquitto.renewalListener.port`: the demo's values open it."""
LONG_S = 600
RESTART = """
import base64, sys
import demo, renewing, target
pod, certificate = sys.argv[1:]
renewing.restart(target.choose_target(), demo.NAMESPACE, pod, base64.b64decode(certificate))
"""


def patch(name, fields):
    """Set fields of a Secret; None takes one away."""
    data = {
        field: None if content is None else base64.b64encode(content).decode()
        for field, content in fields.items()
    }
    kubectl("patch", "secret", name, "--type=merge", "-p", json.dumps({"data": data}))


def restart(house, certificate):
    """End the meter's process as soon as its pod has a certificate; its flash stays."""
    command = [sys.executable, "-c", RESTART, f"meter-{house}", base64.b64encode(certificate)]
    path = dict(environment(), PYTHONPATH=os.fspath(ROOT / "tools/demo"))
    done = subprocess.run(command, env=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def has_restarted(house, before):
    pod = get("pod", f"meter-{house}")
    assert pod["metadata"]["uid"] == before["metadata"]["uid"], "its flash is the pod's"
    return restarts(pod) == restarts(before) + 1


def was_refused(since):
    """Whether the broker refused a certificate since then; nobody else's is wrong meanwhile."""
    log = ("logs", f"deployment/{BROKER}", "-c", "mosquitto", f"--since-time={since}")
    return "certificate verify failed" in kubectl(*log).stdout


def given(house):
    """Return the names of the events that say that the meter was given a certificate."""
    chosen = f"involvedObject.name={house},reason=CertificateRenewed"
    rows = get("events", "--field-selector", chosen)
    return {row["metadata"]["name"] for row in rows if "the meter was given" in row["message"]}


@contextlib.contextmanager
def credentials(house, authority, made, lifetime):
    """Give a meter a certificate as long as the block lasts; afterwards its Secret is as before."""
    name = f"meter-{house}"
    kept = secret(name)
    before = {field: kept[field] for field in ("meter.json", "meter.crt.der", "meter.key.der")}
    bundle = authority.issue(meter_identity(house), made, lifetime)
    settings = json.loads(before["meter.json"])
    settings["broker"]["renewal_port"] = PORT
    changed = {
        "meter.json": json.dumps(settings).encode(),
        "meter.crt.der": pem_to_der(bundle.certificate),
        "meter.key.der": key_to_der(bundle.key),
    }
    patch(name, changed)
    try:
        yield changed["meter.crt.der"]
    finally:
        patch(name, before)


def comes_back(house, record, certificate):
    """The meter starts with a certificate that is refused, and is there again; nothing is lost."""
    found = record(house)
    until(lambda: answers(house), "the meter answers before")
    boots, known, before = found.boots(), given(house), get("pod", f"meter-{house}")
    since = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    restart(house, certificate)
    until(lambda: has_restarted(house, before), "the firmware has started anew", LONG_S)
    until(lambda: was_refused(since), "the broker refuses its certificate", LONG_S)
    until(lambda: given(house) - known, "the operator has given it a certificate", LONG_S, 2)
    until(lambda: answers(house), "the meter answers with its new certificate", LONG_S)
    found.verify()
    assert found.boots() == boots + 1
    return found


def stays_back(house, found, certificate):
    """After another start it needs no renewal: the certificate is in its flash."""
    boots, known, before = found.boots(), given(house), get("pod", f"meter-{house}")
    restart(house, certificate)
    until(lambda: has_restarted(house, before), "the firmware has started anew", LONG_S)
    until(lambda: answers(house), "the meter answers", LONG_S)
    assert given(house) == known
    found.verify()
    assert found.boots() == boots + 1


def restart_operator():
    """It reads the CAs when it starts."""
    kubectl("rollout", "restart", "deployment", OPERATOR)
    kubectl("rollout", "status", "deployment", OPERATOR, "--timeout=200s")


@contextlib.contextmanager
def former(authority):
    """Let a CA be a former one as long as the block lasts."""
    patch(CA, {"former.crt": authority.certificate_pem})
    try:
        restart_operator()
        yield
    finally:
        patch(CA, {"former.crt": None})
        restart_operator()


def test_a_meter_whose_certificate_has_ended_comes_back_by_the_renewal_port(record):
    ca = secret(CA)
    authority = Authority.load(ca["tls.crt"], ca["tls.key"])
    made = dt.datetime.now(dt.UTC) - dt.timedelta(days=400)
    with credentials(EXPIRED, authority, made, dt.timedelta(days=30)) as certificate:
        found = comes_back(EXPIRED, record, certificate)
        stays_back(EXPIRED, found, certificate)


def test_a_meter_of_a_ca_that_nobody_trusts_any_more_comes_back_if_it_is_a_former_one(record):
    now = dt.datetime.now(dt.UTC)
    authority = Authority.create(now - dt.timedelta(days=2))
    with former(authority):
        made = now - dt.timedelta(days=1)
        with credentials(ORPHAN, authority, made, dt.timedelta(days=30)) as certificate:
            comes_back(ORPHAN, record, certificate)
