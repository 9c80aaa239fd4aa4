"""What the start makes of a board: contactors, contacts, watchdog, and why the board started."""

import asyncio
from datetime import UTC, datetime

import assembly
import event_codes
import pytest
import registers
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

VALID_FROM = datetime(2048, 2, 28, 12, 30, 59, tzinfo=UTC)
LOADS = [{"safe_w": 0}, {"hold_off_s": 60}, {}]


class FakeOutput:
    def __init__(self, is_on):
        self.is_on = is_on

    def set(self, flag):
        self.is_on = flag


class FakeInput:
    def __init__(self, is_on):
        self._is_on = is_on

    def is_on(self):
        return self._is_on


class FakeCounter:
    pulses = 0

    def count(self):
        return self.pulses

    def period_us(self):
        return 0


class FakeNetwork:
    def poll(self, _now_ms):
        return True


class FakeBoard:
    """As `hal.esp`, of plain objects; `pins` that are inputs have their level."""

    def __init__(self, *outputs, cause="power", declaration=None, counter=None, **inputs):
        self.declaration = {"chip": "simulated"} if declaration is None else declaration
        self.counters = {"utility_pulse": counter}
        self.joined = []
        self.outputs = dict.fromkeys(outputs)
        self.inputs = inputs
        self.cause = cause
        self.fed = []
        self.timeouts_ms = []
        self.clock = []

    def has_pin(self, name):
        return name in self.outputs or name in self.inputs

    def output(self, name, is_on=False):
        self.outputs[name] = FakeOutput(is_on)
        return self.outputs[name]

    def input(self, name):
        return FakeInput(self.inputs[name])

    def counter(self, name):
        return self.counters[name]

    def network(self, *login):
        self.joined.append(login)
        return FakeNetwork()

    def set_clock(self, utc_s):
        self.clock.append(utc_s)

    def reset_cause(self):
        return self.cause

    def watchdog(self, timeout_ms):
        self.timeouts_ms.append(timeout_ms)
        return lambda: self.fed.append(1)

    def positions(self):
        return [output.is_on for output in self.outputs.values()]


def names_of(meter):
    return [watched.name for watched in meter.supervisor.tasks]


def codes_of(meter):
    """Return the codes of the events in the ring."""
    entries = [meter.ring.read(seq)[0] for seq in range(1, meter.ring.head + 1)]
    return [entry[15] << 8 | entry[16] for entry in entries if entry[0] == 2]


def run(meter, seconds):
    async def story():
        task = asyncio.create_task(meter.supervisor.run(10))
        await asyncio.sleep(seconds)
        for watched in meter.supervisor.tasks:
            watched.task.cancel()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_the_contactors_are_in_their_safe_state_from_the_first_moment(make):
    board = FakeBoard("load0", "load1", "load2", "supply")
    make(board, loads=LOADS)
    assert board.positions() == [False, False, True, True]


def test_a_supply_that_the_utility_opened_is_open_from_the_first_moment(make):
    assert make().supply.order(False, 1)
    board = FakeBoard("supply")
    meter = make(board)
    assert board.positions() == [True], "it was not made durable"
    assert meter.supply.order(False, 1)
    meter.commands.keep_supply()
    make(again := FakeBoard("supply"))
    assert again.positions() == [False]


def test_contacts_have_a_task_of_their_own_that_comes_last(make):
    assert "inputs" not in names_of(make(FakeBoard("load0")))
    assert names_of(make(FakeBoard(cover=False))) == ["measuring", "link", "loads", "inputs"]


def test_an_open_cover_is_recorded_without_a_broker(make):
    meter = make(FakeBoard(cover=True))
    run(meter, 0.5)
    assert event_codes.TAMPER_COVER in codes_of(meter)


def test_the_watchdog_starts_with_its_timeout_and_is_fed_when_all_have_beaten(make):
    board = FakeBoard()
    run(make(board, watchdog_s=90), 0.3)
    assert board.timeouts_ms == [90000]
    assert 1 <= len(board.fed) <= 2, "the loads' task beats once a second"
    make(other := FakeBoard())
    assert other.timeouts_ms == []


def test_three_resets_by_the_watchdog_in_a_row_are_told_and_the_next_start_is_without_it(make):
    make(FakeBoard(), watchdog_s=90)
    boards = [FakeBoard(cause="watchdog") for _ in range(4)]
    for board in boards:
        meter = make(board, watchdog_s=90)
    assert [len(board.timeouts_ms) for board in boards] == [1, 1, 0, 0]
    assert codes_of(meter).count(event_codes.RESET) == 4
    assert codes_of(meter).count(event_codes.POWER_UP) == 1


def test_what_the_declaration_says_measures_and_its_registers_are_described(make):
    counter = FakeCounter()
    declaration = {"chip": "pulses", "pulses_per_kwh": {"utility": 1600}}
    meter = make(FakeBoard(declaration=declaration, counter=counter), tick_ms=20)
    counter.pulses = 1600
    run(meter, 0.5)
    values = {row[0]: row[1] for row in meter.measuring.snapshot()[1]}
    assert values[registers.electricity(1, 8)] == 1000
    assert registers.FREQUENCY not in values
    assert b"house-1" in meter._description("0.1.0")
    assert make()._description("0.1.0") == b""


def test_the_network_and_a_first_time_are_tasks_where_they_are_configured(make):
    board = FakeBoard()
    wifi, sntp = {"ssid": "street", "password": "secret-123"}, {"host": "127.0.0.1", "port": 9}
    meter = make(board, wifi=wifi, sntp=sntp)
    assert names_of(meter)[-2:] == ["network", "sntp"]
    assert board.joined == [("street", "secret-123", "house-1")]
    assert "network" not in names_of(make(FakeBoard()))


@pytest.fixture
def tls(tmp_path):
    """A meter's credentials, valid from a day in a future that no machine's clock has reached."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "house-1")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(VALID_FROM).not_valid_after(VALID_FROM.replace(year=2049))
    content = {
        "ca.der": builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER),
        "key.der": key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    }
    for file, octets in content.items():
        (tmp_path / file).write_bytes(octets)
    return {"ca": "ca.der", "cert": "ca.der", "key": "key.der"}


def test_a_board_without_a_clock_knows_at_its_start_that_its_own_certificate_is_valid(make, tls):
    board = FakeBoard()
    make(board, tls=tls, rtc=False)
    assert board.clock == [VALID_FROM.timestamp()]


def test_one_with_a_clock_and_one_without_tls_are_told_nothing(make, tls):
    for changes in ({"tls": tls, "rtc": True}, {"rtc": False}):
        board = FakeBoard()
        make(board, **changes)
        assert board.clock == []


def test_without_a_board_the_machines_network_is_nobodys_business(make):
    assert "network" not in names_of(make(wifi={"ssid": "street"}))


class FakeUart:
    def __init__(self):
        self.written = b""

    def read(self):
        return b""

    def write(self, data):
        self.written += data


def test_the_ems_port_is_on_the_serial_line_alone_if_it_is_asked_so(make):
    board, wire = FakeBoard(), FakeUart()
    board.uart = lambda name: {"ems": wire}[name]
    meter = make(board, ems={"serial": True, "port": 0, "period_s": 1})
    assert names_of(meter)[-2:] == ["ems", "serial"]
    run(meter, 1.5)
    assert b"/MTW5house-1" in wire.written
    with pytest.raises(ValueError, match=r"ems\.serial"):
        assembly.make_ems(meter.config, None, None, None, None)
