"""The operator's session with a real Mosquitto: restarts, a rival, refusals, and a silent log.

The reconciler and its cluster are those of `street.py`; connection, TLS and broker are real. The
broker has the operator's rules of the chart; charts/tests/test_acl.py tries those themselves.
"""

import asyncio
import contextlib
import logging
from datetime import UTC, datetime

import aiomqtt
import pytest
from meter_operator.broker_errors import RivalError
from meter_operator.broker_tls import build_context
from meter_operator.messenger import SHORT_SESSIONS
from meter_pki.authority import Authority
from meter_pki.identities import broker_identity, operator_identity
from meter_wire.names import OPERATOR_USER
from meter_wire.owner_record import parse_owner_record
from meter_wire.portable.keys import derive_key

from .on_a_broker import (
    CONFIGURATION,
    NEEDS_MOSQUITTO,
    WAIT_S,
    Broker,
    Session,
    until,
)
from .street import MASTER

pytestmark = NEEDS_MOSQUITTO


@pytest.fixture
async def broker(tmp_path):
    made = Broker(tmp_path)
    made.identify(operator_identity())
    yield made
    made.kill()


@pytest.fixture
async def session(operator, broker):
    made = Session(operator, broker)
    yield made
    await made.stop()


RECORDS = ("mt/house-1/owner", "mt/house-1/1/ctl")


async def serving(session, broker):
    """Bring up broker, session and a meter whose records are on the broker."""
    await broker.start()
    session.start()
    await session.connected()
    session.operator.add_meter()
    await session.operator.settle()
    return await broker.until_retained("mt/house-1/#", RECORDS)


async def test_after_kill_9_of_the_broker_everything_is_published_again(session, broker):
    before = await serving(session, broker)
    broker.kill()
    await until(lambda: not session.messenger.connected.is_set())
    await broker.start()
    assert await broker.until_retained("mt/house-1/#", RECORDS) == before


async def test_a_decision_made_while_the_broker_is_away_is_published_when_it_is_back(
    session, broker
):
    await serving(session, broker)
    broker.kill()
    session.operator.delete_pod("house-1-e1")
    await session.operator.settle()
    await broker.start()
    wanted = ("mt/house-1/owner", "mt/house-1/1/ctl", "mt/house-1/2/ctl")
    found = await broker.until_retained("mt/house-1/#", wanted)
    key = derive_key(session.operator.fleet.meter_key("house-1", 1), "owner", "house-1")
    assert parse_owner_record(found["mt/house-1/owner"], key).active == 2


async def test_a_deleted_meter_leaves_nothing_though_its_twin_says_farewell_later(session, broker):
    await serving(session, broker)
    gone = session.operator.cache.drop_meter(next(iter(session.operator.cache.meters)))
    await session.messenger.forget(gone)
    await broker.until_retained("mt/house-1/#", ())
    async with aiomqtt.Client("127.0.0.1", broker.open_port) as twin:
        state = b'{"online":false,"epoch":1,"meter":"silent"}'
        await twin.publish("mt/house-1/1/state", state, qos=1, retain=True)
    await broker.until_retained("mt/house-1/#", ())


async def test_one_visit_under_our_name_ends_one_session_and_not_the_process(session, broker):
    await serving(session, broker)
    async with rival(session.operator.settings):
        pass
    await asyncio.sleep(0.2)
    await session.connected()
    assert not session.task.done()


def rival(settings):
    return aiomqtt.Client(
        "localhost",
        settings.broker_port,
        identifier=OPERATOR_USER,
        tls_context=build_context(settings),
    )


async def compete(settings):
    """Connect as the operator again and again, as another operator would."""
    while True:
        with contextlib.suppress(aiomqtt.MqttError):
            async with rival(settings) as client:
                async for _ in client.messages:
                    pass
        await asyncio.sleep(0.01)


async def test_a_lasting_rival_under_our_name_ends_the_process(session, broker):
    await serving(session, broker)
    other = asyncio.create_task(compete(session.operator.settings))
    try:
        async with asyncio.timeout(3 * WAIT_S):
            with pytest.raises(RivalError, match=f"{SHORT_SESSIONS} broker sessions"):
                await session.task
    finally:
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def test_a_session_ended_by_the_next_holder_of_the_lease_ends_the_process(operator, broker):
    class LostError(Exception):
        pass

    async def lost():
        raise LostError

    session = Session(operator, broker, lost)
    await serving(session, broker)
    async with rival(operator.settings):
        with pytest.raises(LostError):
            async with asyncio.timeout(WAIT_S):
                await session.task


async def refused(session, broker, caplog, tries=2):
    """Return the log of a session that cannot be, and how often it was tried."""
    await broker.start()
    with caplog.at_level(logging.INFO):
        session.start()
        await until(lambda: caplog.text.count("trying again") >= tries, 3 * WAIT_S)
    assert not session.task.done()
    assert not session.messenger.connected.is_set()
    return caplog.text


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_of_another_ca_is_named_and_tried_again(session, broker, caplog):
    broker.write("broker", broker_identity("street", extra=("localhost",)), Authority.create(
        datetime.now(UTC)))  # fmt: skip
    text = await refused(session, broker, caplog)
    assert "metertwin-trust" in text
    assert f"localhost:{broker.port}" in text


async def test_a_certificate_that_the_broker_does_not_accept_is_tried_again(
    session, broker, caplog
):
    broker.identify(operator_identity(), Authority.create(datetime.now(UTC)))
    text = await refused(session, broker, caplog, 1)  # each waits 10 s for an answer
    assert "does not accept our certificate" in text


async def test_a_refused_user_is_named_and_tried_again(session, broker, caplog):
    (broker.folder / "passwords").write_text("")
    broker.configuration = CONFIGURATION.replace("allow_anonymous false", "allow_anonymous false\n"
        "password_file {folder}/passwords").replace("require_certificate true\nuse_identity_as_username true\n", "")  # fmt: skip
    text = await refused(session, broker, caplog)
    assert "refuses the user Operator.metertwin" in text
    assert "external-broker.md" in text


async def test_no_key_reaches_the_log(session, broker, caplog):
    with caplog.at_level(logging.DEBUG):
        await serving(session, broker)
        broker.kill()
        await broker.start()
        await broker.until_retained("mt/house-1/#", RECORDS)
    meter_key = session.operator.fleet.meter_key("house-1", 1)
    epoch_id = bytes.fromhex(session.operator.status()["epochId"])
    keys = [derive_key(meter_key, label, "house-1") for label in ("owner", "hello")]
    keys += [derive_key(meter_key, label, "house-1", 1, epoch_id) for label in ("up", "ctl")]
    assert "connected to the broker" in caplog.text
    for secret in (MASTER, meter_key, *keys):
        assert secret.hex() not in caplog.text
        assert repr(secret)[2:-1] not in caplog.text
    assert "PRIVATE KEY" not in caplog.text
    assert broker.private.decode().splitlines()[1] not in caplog.text
