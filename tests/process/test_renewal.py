"""A meter whose certificate nobody takes any more comes back by K_meter alone, over real brokers.

Real Mosquitto with the listeners of the chart, real firmware on MicroPython; the operator's side is
`renewal_role`. Five tries that end without a session come before the renewal port: some 20 s.
"""

import importlib
import os
import pathlib
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from attack import Attacker
from final_check import settle
from harness import DEVICE, MICROPYTHON, ROOT, World
from loopback import free_port, free_ports
from meter_pki import identities
from meter_pki.authority import Authority
from meter_wire.portable.keys import derive_key
from meter_wire.renewal import RenewalRequest, parse_renewal_request
from oracle import Ledger
from processes import Process, connects, wait_for
from renewal_role import RenewalRole, kept, other_key, provision

pytestmark = pytest.mark.timeout(300)
CREDENTIALS = 27
BY_SESSION, BY_PORT, DAMAGED = 1, 2, 3
BOARD_HEAP = 122_880
HASTY = """
import renewal, renewing, main, sys
renewal.LATEST_S = renewal.SPREAD_MS = 0
renewal.DAY_S = 3
renewal.TRIES = 2
renewing.WAIT_MS = 3000
sys.exit(main.main(sys.argv[1:]))
"""
"""A meter for which a day has three seconds, and the second refused try is enough."""


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


def hasten(world: World, arch: str = "amd64") -> None:
    """Have the meter start with days of three seconds, and ask from now on."""
    script = world.folder / "hasten.py"
    script.write_text(HASTY)
    command = [str(MICROPYTHON), "--arch", arch, str(script)]
    world.firmware.command = [*command, *world.firmware.command[-2:]]
    world.configure_meter(tls={**world.meter_json["tls"], "renew_from": int(time.time())})


def comes_back(world: World, role: RenewalRole) -> None:
    """Start a meter whose certificate has ended; it must come back whole."""
    ended = provision(world, world.authority, datetime.now(UTC) - timedelta(days=400))
    world.firmware.start()
    world.wait_stored(8)
    assert [request.certificate for request in role.requests] == [ended]
    assert changes(world.check()) == [BY_PORT]
    assert world.firmware.log.count("renewal port") == 1


def test_a_meter_whose_certificate_has_ended_comes_back_by_the_renewal_port(world: World) -> None:
    role = RenewalRole(world)
    start(world, role)
    comes_back(world, role)


def test_it_does_so_in_the_heap_of_an_esp32_from_a_rom_partition(
    world: World, tmp_path: pathlib.Path
) -> None:
    sys.path[:0] = [str(ROOT / "firmware"), str(ROOT / "firmware/tests")]
    board_file, build_firmware, smallest_heap = map(
        importlib.import_module, ("board_file", "build_firmware", "smallest_heap")
    )
    assert board_file.load_board("esp32")["heap_bytes"] == BOARD_HEAP
    build_firmware.build_board(board_file.load_board("unix"), tmp_path / "built")
    role = RenewalRole(world)
    start(world, role)
    broker = world.meter_json["broker"]
    world.firmware = smallest_heap.start_whole(world, tmp_path / "built", BOARD_HEAP, in_place=True)
    world.configure_meter(broker=broker)
    comes_back(world, role)
    for fault in smallest_heap.FAULTS:
        assert fault not in world.firmware.log


@pytest.mark.parametrize("arch", ["amd64", pytest.param("i386", marks=pytest.mark.slow)])
def test_a_meter_of_a_ca_that_is_forgotten_comes_back_by_the_renewal_port_only(
    world: World, arch: str
) -> None:
    role = RenewalRole(world)
    start(world, role)
    hasten(world, arch)
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


def impostor(world: World) -> tuple[Process, int, int]:
    """Return a broker of somebody else's CA without rules; its ports with and without TLS."""
    folder = world.folder / "impostor"
    folder.mkdir(mode=0o755)
    identity = identities.broker_identity("elsewhere", extra=("localhost",))
    bundle = Authority.create(datetime.now(UTC)).issue(identity, datetime.now(UTC))
    (folder / "tls.crt").write_bytes(bundle.certificate)
    (folder / "tls.key").write_bytes(bundle.key)
    (folder / "tls.key").chmod(0o644)
    tls, plain = free_ports(2)
    lines = [f"user {'root' if os.getuid() == 0 else 'mosquitto'}", "allow_anonymous true"]
    lines += [f"listener {plain} 127.0.0.1", f"listener {tls} 127.0.0.1"]
    lines += [f"certfile {folder}/tls.crt", f"keyfile {folder}/tls.key"]
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    command = [world.broker.command[0], "-c", str(folder / "mosquitto.conf")]
    process = Process("impostor", command, world.folder)
    process.start()
    wait_for(lambda: connects(plain) and connects(tls), "the impostor listens")
    return process, tls, plain


def test_who_poses_as_the_renewal_port_learns_no_key_and_can_only_be_silent(world: World) -> None:
    role = RenewalRole(world)
    start(world, role)
    process, tls, plain = impostor(world)
    world.configure_meter(broker={**world.meter_json["broker"], "renewal_port": tls})
    hasten(world)
    provision(world, world.authority, datetime.now(UTC) - timedelta(days=400))
    attacker = Attacker(plain)
    try:
        world.firmware.start()
        renew = f"mt/{DEVICE}/renew"
        (request,) = wait_for(lambda: attacker.seen[renew], "the meter asks", period_s=0.02)
        parsed = parse_renewal_request(request, derive_key(world.k_meter, "renew", DEVICE))
        bad = [request, b"", role.encode(parsed, key=bytes(32)), *[bytes(1400)] * 40]
        attacker.send(f"mt/{DEVICE}/renewed", bad)
        tries = world.broker.log.count("OpenSSL Error")
        logged = len(world.oracle())
        wait_for(lambda: world.broker.log.count("OpenSSL Error") > tries, "the normal tries go on")
        assert len(world.oracle()) > logged + 2, "it goes on metering"
    finally:
        attacker.close()
        process.kill()
    assert not kept(world)
    assert not role.requests
    private = (world.folder / "meter" / "meter.key.der").read_bytes()[7:39]
    secrets = [derive_key(world.k_meter, label, DEVICE) for label in ("renew", "renewed", "owner")]
    heard = b"".join(payload for seen in attacker.seen.values() for payload in seen)
    for secret in (world.k_meter, private, *secrets):
        assert secret not in heard
