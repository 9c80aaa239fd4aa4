"""The board's layer over `machine` and `network` as documented: both Pythons, no board."""

from fake_board import import_small, plug_in
from hal import BoardError, open_board

ESP32 = {
    "port": "esp32",
    "pins": {
        "supply": {"gpio": 25},
        "load0": {"gpio": 26, "inverted": True},
        "utility_pulse": {"gpio": 32, "counter": 0},
        "generator_pulse": {"gpio": 33, "counter": 1},
        "cover": {"gpio": 18, "inverted": True},
        "button": {"gpio": 0},
    },
    "uarts": {"chip": {"id": 2, "baud": 4800, "tx": 17, "rx": 16}},
}
ESP8266 = {"port": "esp8266", "pins": {"utility_pulse": {"gpio": 14, "apart_ms": 30}}}


def raises(error, work, *arguments):
    try:
        work(*arguments)
    except error as one:
        return str(one)
    raise AssertionError("nothing was raised")


def test_an_output_is_on_at_its_own_level_and_begins_as_asked():
    wires, esp32, _ = plug_in()
    board = esp32.Board(ESP32)
    supply, load = board.output("supply", True), board.output("load0", True)
    assert (wires.levels[25], wires.levels[26]) == (1, 0)
    supply.set(False)
    load.set(False)
    assert (wires.levels[25], wires.levels[26]) == (0, 1)


def test_a_contact_is_on_when_closed_and_an_inverted_one_when_open():
    wires, esp32, _ = plug_in()
    board = esp32.Board(ESP32)
    cover, button = board.input("cover"), board.input("button")
    assert (cover.is_on(), button.is_on()) == (True, False)
    wires.levels[18] = wires.levels[0] = 0
    assert (cover.is_on(), button.is_on()) == (False, True)
    assert wires.modes[18] == (1, 3)


def test_the_board_s_own_clock_is_set_to_a_utc_second():
    wires, esp32, _ = plug_in()
    board = esp32.Board(ESP32)
    board.set_clock(1795464184)
    board.set_clock(1772323199)
    assert wires.dates == [(2026, 11, 23, 0, 20, 3, 4, 0), (2026, 2, 28, 5, 23, 59, 59, 0)]


def test_the_esp32_counts_each_input_by_a_hardware_counter_of_its_own():
    wires, esp32, _ = plug_in()
    board = esp32.Board(ESP32)
    utility, generator = board.counter("utility_pulse"), board.counter("generator_pulse")
    wires.pulse(32, 5)
    wires.pulse(33)
    assert (utility.count(), generator.count()) == (5, 1)


def test_the_esp8266_counts_edges_but_no_bounces():
    wires, _, esp8266 = plug_in()
    counter = esp8266.Board(ESP8266).counter("utility_pulse")
    for gap_ms in (40, 1, 29, 30, 31, 5):
        wires.us += gap_ms * 1000
        wires.pulse(14)
    assert counter.count() == 3


def test_the_small_profile_counts_and_joins_with_less():
    wires, _, _ = plug_in()
    small = import_small()
    board = small.open_board({"device": "house-1", "wifi": {"ssid": "street"}}, {"cf": (14, 30)})
    for gap_ms in (40, 1, 29, 30, 31, 5):
        wires.us += gap_ms * 1000
        wires.pulse(14)
    assert board.count() == 3
    assert board.edge_ms() == 131, "that of the last pulse, not of the bounce after it"
    assert wires.joined == [("street", "")]
    assert wires.hostname == "house-1"
    wires.joined.clear()
    small.open_board({"device": "house-1"}, {"utility_pulse": (14, 0)})
    assert wires.joined == []


def test_the_small_profile_has_a_relay_contacts_and_a_second_counter_if_they_are_declared():
    wires, _, _ = plug_in()
    small = import_small()
    pins = {"cf": (14, 0), "generator_pulse": (13, 0), "load0": (12, True), "cover": (5, True)}
    board = small.Board(pins)
    switch = board.output("load0", True)
    assert wires.levels[12] == 0
    switch(False)
    assert wires.levels[12] == 1
    wires.pulse(13, 4)
    assert (board.count(), board.generator_count()) == (0, 4)
    contacts = board.contacts()
    assert [(name, is_on()) for name, is_on in contacts.items()] == [("cover", True)]
    wires.levels[5] = 0
    assert not contacts["cover"]()
    bare = small.Board({"cf": (14, 0)})
    assert bare.output("load0", True) is None
    assert bare.contacts() == {}


def test_the_small_profiles_watchdog_resets_when_it_is_not_fed_and_the_next_start_knows():
    wires, _, _ = plug_in()
    small = import_small()
    board = small.Board({"cf": (14, 0)})
    wires.cause = 5
    assert board.reset_cause() == "soft"
    board.memory(b"\0meter")
    feed = board.watchdog(90000)
    for _ in range(4):
        wires.pass_ms(80000)
        feed()
    assert wires.resets == 0
    wires.pass_ms(80000)
    assert wires.resets == 0
    wires.pass_ms(15000)
    assert wires.resets > 0
    assert board.reset_cause() == "watchdog"
    assert board.memory() == b"\x01meter", "what it keeps is not lost"
    wires.kept, wires.cause = b"", 1
    assert board.reset_cause() == "power"
    wires.cause = 3
    assert board.reset_cause() == "watchdog", "the chip's own"


def test_a_pulse_after_hours_or_days_is_counted():
    wires, _, esp8266 = plug_in()
    counter = esp8266.Board(ESP8266).counter("utility_pulse")
    for hours in (1, 9, 24 * 5, 24 * 8, 24 * 11):
        before = counter.count()
        wires.us += hours * 3600 * 1000000
        wires.pulse(14)
        assert counter.count() == before + 1


def test_the_mean_period_is_that_between_two_looks_that_saw_a_pulse():
    wires, esp32, _ = plug_in()
    counter = esp32.Board(ESP32).counter("utility_pulse")
    wires.us += 1000000
    assert counter.period_us() == 0
    wires.us += 1000000
    wires.pulse(32, 4)
    assert counter.period_us() == 500000
    wires.us += 1000
    wires.pulse(32)
    assert counter.period_us() == 1000
    assert counter.period_us() == 0


def test_after_a_long_silence_there_is_no_period_until_the_pulse_after_next():
    wires, esp32, _ = plug_in()
    counter = esp32.Board(ESP32).counter("utility_pulse")
    for _ in range(8):
        wires.us += 200 * 1000000
        assert counter.period_us() == 0
    wires.pulse(32)
    wires.us += 100 * 1000000
    counter.period_us()
    wires.us += 2000000
    wires.pulse(32)
    assert counter.period_us() == 2000000


def test_a_serial_port_gives_what_is_there_and_nothing_is_no_fault():
    wires, esp32, _ = plug_in()
    uart = esp32.Board(ESP32).uart("chip")
    assert wires.opened == [((2,), {"baudrate": 4800, "tx": 17, "rx": 16, "rxbuf": 256})]
    assert uart.read() == b""
    wires.received = b"\x55"
    assert uart.read() == b"\x55"
    uart.write(b"\x58\xaa")
    assert wires.sent == b"\x58\xaa"


def test_what_is_not_declared_is_refused_by_its_name():
    _, esp32, esp8266 = plug_in()
    board = esp32.Board(ESP32)
    assert "pins.magnet" in raises(BoardError, board.input, "magnet")
    assert "uarts.ems" in raises(BoardError, board.uart, "ems")
    assert "pins.cf" in raises(BoardError, esp8266.Board(ESP8266).counter, "cf")
    assert not board.has_pin("magnet")
    assert board.has_pin("cover")


def test_the_network_is_asked_again_every_half_minute_until_it_is_there():
    wires, esp32, _ = plug_in()
    network = esp32.Board(ESP32).network("street", "secret", "house-1")
    assert wires.hostname == "house-1"
    assert not network.poll(0)
    assert not network.poll(29999)
    assert wires.joined == [("street", "secret")]
    assert not network.poll(30000)
    assert len(wires.joined) == 2
    wires.is_connected = True
    assert network.poll(30001)
    assert network.address() == "10.0.0.7"
    wires.is_connected = False
    assert not network.poll(30002)
    assert len(wires.joined) == 3


def test_a_fault_of_the_radio_is_counted_and_ends_nothing():
    wires, esp32, _ = plug_in()
    network = esp32.Board(ESP32).network("street", "secret", "house-1")
    wires.fails = True
    assert not network.poll(0)
    assert network.failed == 1
    wires.fails = False
    network.poll(30000)
    assert wires.joined == [("street", "secret")]


def test_the_watchdog_is_fed_by_what_its_start_returns():
    wires, esp32, esp8266 = plug_in()
    feed = esp32.Board(ESP32).watchdog(60000)
    assert wires.timeout == 60000
    feed()
    feed()
    assert wires.fed == 2
    esp8266.Board(ESP8266).watchdog(60000)
    assert wires.timeout is None


def test_a_reset_by_the_watchdog_is_told():
    _, esp32, _ = plug_in()
    assert esp32.Board(ESP32).reset_cause() == "watchdog"


def test_the_declaration_of_another_port_is_refused_and_the_unix_port_has_nothing():
    assert "esp32" in raises(BoardError, open_board, {"port": "esp32"})
    board = open_board({"port": "unix"})
    assert not board.has_pin("load0")
    assert board.network("a", "b", "c") is None
    assert board.watchdog(1000) is None
    assert "pins.load0" in raises(BoardError, board.output, "load0")
    assert "uarts.chip" in raises(BoardError, board.uart, "chip")
