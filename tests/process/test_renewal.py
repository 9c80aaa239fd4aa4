"""A meter whose certificate nobody takes any more comes back by K_meter alone, over real brokers.

Real Mosquitto with the listeners of the chart, real firmware on MicroPython; the operator's side is
`renewal_role`. Five tries that end without a session come before the renewal port: some 20 s.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from final_check import settle
from harness import MICROPYTHON, World
from loopback import free_port
from meter_pki.authority import Authority
from meter_wire.renewal import RenewalRequest
from oracle import Ledger
from processes import wait_for
from renewal_role import RenewalRole, kept, other_key, provision

pytestmark = pytest.mark.timeout(300)
CREDENTIALS = 27
BY_SESSION, BY_PORT, DAMAGED = 1, 2, 3
PATIENT = """
import renewal, main, sys
renewal.LATEST_S = renewal.SPREAD_MS = 0
renewal.DAY_S = 3
sys.exit(main.main(sys.argv[1:]))
"""
"""A meter for which a day has three seconds."""


def changes(ledger: Ledger) -> list[int]:
    """Return the arguments of the events `credentials` that the twin has."""
    entries = [raw for rows in ledger.raw.values() for _, raw in rows if raw[0] == 2]
    return [raw[-1] for raw in entries if int.from_bytes(raw[15:17], "big") == CREDENTIALS]


def start(world: World, role: RenewalRole, **changes: object) -> None:
    """Start everything but the meter, whose configuration knows the renewal port."""
    renewal_port = free_port()
    world.configure_broker(renewal_port=renewal_port)
    world.start_broker()
    world.operator.start()
    world.operator.take_over()
    world.twin.start()
    world.make_firmware(**changes)  # type: ignore[arg-type]
    world.configure_meter(broker={**world.meter_json["broker"], "renewal_port": renewal_port})
    assert role.world is world


def hasten(world: World) -> None:
    """Have the meter start with days of three seconds, and ask from now on."""
    script = world.folder / "hasten.py"
    script.write_text(PATIENT)
    world.firmware.command = [str(MICROPYTHON), str(script), *world.firmware.command[-2:]]
    world.configure_meter(tls={**world.meter_json["tls"], "renew_from": int(time.time())})


@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_a_meter_whose_certificate_has_ended_comes_back_by_the_renewal_port(
    world: World, arch: str
) -> None:
    role = RenewalRole(world)
    start(world, role, arch=arch)
    ended = provision(world, world.authority, datetime.now(UTC) - timedelta(days=400))
    world.firmware.start()
    world.wait_stored(8)
    assert [request.certificate for request in role.requests] == [ended]
    assert changes(world.check()) == [BY_PORT]
    assert world.firmware.log.count("renewal port") == 1


@pytest.mark.parametrize("arch", ["amd64", "i386"])
def test_a_meter_of_a_ca_that_is_forgotten_comes_back_by_the_renewal_port_only(
    world: World, arch: str
) -> None:
    role = RenewalRole(world)
    start(world, role, arch=arch)
    provision(world, Authority.create(datetime.now(UTC)), datetime.now(UTC))
    world.firmware.start()
    wait_for(lambda: kept(world), "the answer is stored", period_s=0.02)
    world.firmware.kill()
    assert world.firmware.log.count("link: connected") == 0
    world.firmware.start()
    ledger = settle(world)
    assert len(role.requests) == 1, "what was stored is used after the kill, and after the next"
    assert changes(ledger) in ([BY_PORT], []), "the kill may have come before the event"


def test_a_meter_renews_over_its_session_and_opens_it_again_at_once(world: World) -> None:
    role = RenewalRole(world)
    start(world, role)
    hasten(world)
    world.firmware.start()
    world.wait_stored(2)
    wait_for(lambda: world.firmware.log.count("link: connected") == 2, "a session with the new one")
    world.wait_stored(len(world.oracle()) + 4)
    time.sleep(4)
    assert len(role.requests) == 1, "not before the second that the answer named"
    ledger = settle(world)
    assert changes(ledger) == [BY_SESSION]
    for slot in (world.folder / "meter" / "state").glob("credentials*"):
        slot.write_bytes(slot.read_bytes()[:-1])
    world.firmware.kill()
    world.firmware.start()
    expected = [BY_SESSION, DAMAGED, BY_SESSION]
    wait_for(lambda: changes(world.check()) == expected, "told, and renewed again", 30, 1)
    assert world.firmware.log.count("renewed certificate cannot be used") == 1


def test_wrong_answers_change_nothing_and_the_right_one_is_taken_after_them(world: World) -> None:
    role = RenewalRole(world)
    seen: list[bool] = []

    def before(request: RenewalRequest) -> Iterable[bytes] | None:
        seen.append(kept(world))
        number = len(role.requests)
        if number == 1:
            role.answers.append(role.encode(request))  # and nobody hears it
            return None
        wrong = [
            role.encode(request, nonce=bytes(16)),
            role.encode(request, key=bytes(32)),
            role.answers[0],
            b"junk",
        ]
        if number == 2:
            return [*wrong, role.encode(request, public_key=other_key()), role.encode(request)]
        return wrong

    role.before = before
    start(world, role)
    hasten(world)
    world.firmware.start()
    wait_for(lambda: kept(world), "the right answer is stored")
    assert seen == [False, False, False]
    assert len({request.nonce for request in role.requests}) == 3
    assert changes(settle(world)) == [BY_SESSION]
    assert world.ask("GET", "/v1/status")[0] == 200
