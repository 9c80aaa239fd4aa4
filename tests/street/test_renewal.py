"""`make demo` renews a meter's certificate before it ends; the meter keeps its ring."""

import base64
import datetime as dt
import json
import os
import subprocess
import sys

import pytest
from demo import ROOT, answers, condition, environment, get, kubectl, restarts, secret, until
from meter_pki.authority import Authority, end_of, key_to_der, pem_to_der
from meter_pki.identities import meter_identity

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
HOUSE = "house-8"
SECRET, POD = f"meter-{HOUSE}", f"meter-{HOUSE}"
RENEW = """
import demo, renewing, target
renewing.renew_meters(target.choose_target(), demo.NAMESPACE)
"""


def age():
    """Give the meter's Secret a certificate of 30 days that was made 25 days ago."""
    ca = secret("metertwin-ca")
    authority = Authority.load(ca["tls.crt"], ca["tls.key"])
    made = dt.datetime.now(dt.UTC) - dt.timedelta(days=25)
    bundle = authority.issue(meter_identity(HOUSE), made, dt.timedelta(days=30))
    fields = {
        "meter.crt.der": pem_to_der(bundle.certificate),
        "meter.key.der": key_to_der(bundle.key),
    }
    data = {name: base64.b64encode(content).decode() for name, content in fields.items()}
    kubectl("patch", "secret", SECRET, "--type=merge", "-p", json.dumps({"data": data}))


def left():
    """Return how long the certificate in the Secret is still good."""
    return end_of(secret(SECRET)["meter.crt.der"]) - dt.datetime.now(dt.UTC)


def renew():
    """Do what `make demo` does before it brings the meters; return what it said."""
    found = dict(environment(), PYTHONPATH=os.fspath(ROOT / "tools/demo"))
    done = subprocess.run(
        [sys.executable, "-c", RENEW], env=found, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_certificate_that_ends_soon_is_renewed_and_the_meter_keeps_what_it_has(record):
    house = record(HOUSE)
    until(lambda: answers(HOUSE), "the meter answers")
    before, boots = get("pod", POD), house.boots()
    settings = secret(SECRET)["meter.json"]
    age()
    assert left() < dt.timedelta(days=6)
    assert HOUSE in renew()
    assert left() > dt.timedelta(days=1000)
    assert secret(SECRET)["meter.json"] == settings, "its key and its settings stay"
    until(lambda: house.boots() == boots + 1, "the firmware has started anew")
    after = get("pod", POD)
    assert after["metadata"]["uid"] == before["metadata"]["uid"], "its flash is the pod's"
    assert restarts(after) == restarts(before) + 1
    until(lambda: answers(HOUSE), "the meter answers with its new certificate")
    house.verify()
    meter = get("smartmeter", HOUSE)
    assert condition(meter, "MeterConnected").get("status") == "True", meter["status"]
    assert HOUSE not in renew(), "a second run has nothing to do"
    assert restarts(get("pod", POD)) == restarts(after)
