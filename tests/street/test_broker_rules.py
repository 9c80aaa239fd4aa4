"""What one credential cannot do to another device, tried on the broker that runs, as it runs.

The table and the tries are those of the chart's tests (`charts/tests/intruder.py`), which show on
a broker without rules that each try would be told. A second session of a user ends its first one,
so no running device is connected as: A, a meter provisioned as any other, and B, beside whom A
tries, are nobody's; B's rightful readers listen. house-1 is tried from A, too, while it speaks.
"""

import base64
import datetime as dt
import re

import pytest
from access_rules import OPERATOR, build_foreign
from broker_port import BROKER, ForwardedClient, build_context
from demo import NAMESPACE, ask_meter, get, kubectl, meter, read_live, secret, until
from intruder import FORBIDDEN, Heard, Intruder
from meter_pki.authority import Authority
from meter_pki.identities import meter_identity, twin_identity

pytestmark = [pytest.mark.demo, pytest.mark.alone, pytest.mark.timeout(900)]
A, B, HOUSE = "stranger-a", "stranger-b", "house-1"
LOOK_S = 35
"""From one visit under the operator's name to the next, as in `test_deletion`."""
OLDEST = (2, 0, 18)
"""What the chart asks of a broker (charts/metertwin/values.yaml)."""


def to_pem(der, label):
    text = base64.encodebytes(der).decode().strip()
    return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n".encode()


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """User → TLS context. A's meter is provisioned; twins and B have what they would be issued."""
    kubectl("delete", "secret", f"meter-{A}", "--ignore-not-found")
    meter("provision", A, "--secret")
    try:
        bundle = secret(f"meter-{A}")
    finally:
        kubectl("delete", "secret", f"meter-{A}")
    own = (
        to_pem(bundle["meter.crt.der"], "CERTIFICATE"),
        to_pem(bundle["meter.key.der"], "EC PRIVATE KEY"),
    )
    found = secret("metertwin-ca")
    authority = Authority.load(found["tls.crt"], found["tls.key"])
    now = dt.datetime.now(dt.UTC)
    identities = [meter_identity(B), *[twin_identity(A, epoch, NAMESPACE) for epoch in (1, 2)]]
    identities.append(twin_identity(B, 1, NAMESPACE))
    pairs = {one.common_name: authority.issue(one, now) for one in identities}
    operator = secret("metertwin-operator-tls")
    pairs |= {A: own, OPERATOR: (operator["tls.crt"], operator["tls.key"])}
    folder = tmp_path_factory.mktemp("credentials")
    return {
        who: build_context(folder / who, authority.certificate_pem, *pair)
        for who, pair in pairs.items()
    }


@pytest.fixture
def client(contexts):
    """A function (user, **options) → a client of it; all are closed afterwards."""
    made = []

    def build(who, **options):
        made.append(ForwardedClient(contexts[who], **options))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def intruder(client):
    return Intruder(client, A, B)


def test_the_broker_is_as_new_as_the_chart_asks():
    program = (f"deployment/{BROKER}", "-c", "mosquitto", "--", "mosquitto", "-h")
    said = kubectl("exec", *program, check=False).stdout
    found = re.search(r"mosquitto version (\d+)\.(\d+)\.(\d+)", said)
    assert found, said
    assert tuple(map(int, found.groups())) >= OLDEST


def test_publications_on_foreign_topics_reach_nobody(intruder):
    for qos in (0, 1, 2):
        assert intruder.publish(qos) == [], qos
    assert intruder.publish(1, retain=True) == []


def test_wills_on_foreign_topics_reach_nobody_and_one_on_an_own_topic_does(intruder):
    own = f"mt/{A}/1/up"
    assert intruder.leave_wills([(A, own)], keep=False) == [Heard(f"{A}/1", own, b"will")]
    assert intruder.leave_wills(intruder.tries()) == []


@pytest.mark.parametrize("qos", [0, 1])
def test_subscriptions_to_everything_deliver_nothing_while_all_speak(intruder, qos):
    """The owner record and the control record of house-1 are there to be had, too: retained."""
    epoch = get("smartmeter", HOUSE)["status"]["epoch"]
    topics = build_foreign(HOUSE, epoch)
    assert intruder.subscribe(*topics, qos=qos, speak=lambda: read_live(HOUSE)) == []


def test_another_client_id_opens_nothing_and_ends_no_session(intruder):
    assert intruder.borrow_client_id() == []


def test_a_running_twin_hears_nothing_of_what_is_said_in_its_meters_or_the_operators_name(intruder):
    def count():
        link = ask_meter("status", HOUSE)["link"]
        return link["epoch"], dict(link["refused"]), dict(link["gateRefused"])

    def unheard():
        before = count()
        for who in intruder.attackers:
            for topic in build_foreign(HOUSE, before[0]):
                intruder.sessions[who].publish(topic, FORBIDDEN, 1)
        assert intruder.settle() == []
        read_live(HOUSE)
        after = count()
        assert after == before
        return True

    until(unheard, "no frame and no control record is refused, as none arrived", 30)


def test_the_operator_hears_what_a_device_may_say_and_nothing_else(intruder, client):
    """It connects again and ends this visit after a second; a visit that was too short is repeated.

    What is heard is not repeated: a single forbidden message is one too many.
    """

    def visit():
        operator = client(OPERATOR)
        try:
            assert operator.connect() == 0
            return [intruder.speak_to_operator(operator)]
        except OSError as error:
            raise AssertionError(f"no connection to the broker: {error!r}") from error
        finally:
            operator.close()

    (heard,) = until(visit, "the operator's visit", period_s=LOOK_S)
    assert heard == []
