"""The clock by which TLS judges certificates: on a board without an RTC, the meter sets it."""

from timekeeper import Timekeeper

NEW_S = 946684800
"""What the clock of an ESP32 says after a power cut: the year 2000."""
NOW_S = 1800000000


class Board:
    """A board's own clock; `told` is what it was set to."""

    def __init__(self, utc_s=NEW_S):
        self.utc_s = utc_s
        self.told = []

    def rtc_ms(self):
        return self.utc_s * 1000

    def set_clock(self, utc_s):
        self.utc_s = utc_s
        self.told.append(utc_s)


class Kept:
    """A durable state of what this needs."""

    def __init__(self):
        self.items = {}

    def get(self, item):
        return self.items.get(item, b"")

    def set(self, item, data):
        self.items[item] = data


def boot(board, kept, has_rtc=False):
    return Timekeeper(kept, has_rtc, 0, board.rtc_ms, board.set_clock)


def live(kept, utc_s):
    """Let a meter have a clock and be there at that second."""
    keeper = boot(Board(), kept)
    keeper.set(utc_s * 1000, True)
    keeper.keep()


def test_after_a_power_cut_the_board_is_told_the_latest_second_that_has_passed():
    for alive_s, least_s in ((NOW_S, NOW_S - 5), (NOW_S - 5, NOW_S), (None, NOW_S), (NOW_S, 0)):
        kept, board = Kept(), Board()
        if alive_s:
            live(kept, alive_s)
        boot(board, kept).tell_board(lambda least_s=least_s: least_s)
        assert board.told == [NOW_S]


def test_a_clock_that_ran_on_over_a_reset_is_left_alone():
    kept, board = Kept(), Board(NOW_S + 1)
    live(kept, NOW_S)
    keeper = boot(board, kept)
    keeper.tell_board()
    assert board.told == []
    assert keeper.utc()[0] is None


def test_a_first_time_of_the_network_and_one_of_a_twin_go_to_the_board():
    board = Board()
    keeper = boot(board, Kept())
    keeper.set_first(NOW_S * 1000)
    keeper.set((NOW_S - 3600) * 1000, False)
    assert board.told == [NOW_S, NOW_S - 3600]
    keeper.tell_board(lambda: NOW_S)
    assert board.told[2:] == [NOW_S - 3600]


def test_a_refused_time_does_not():
    board = Board()
    keeper = boot(board, Kept())
    keeper.set(NOW_S * 1000, True)
    assert keeper.set((NOW_S + 3600) * 1000, False)[0] == "refused"
    assert max(board.told) <= NOW_S + 1


def test_a_real_time_clock_is_never_set():
    kept, board = Kept(), Board(NOW_S)
    live(kept, NOW_S + 1000)
    keeper = boot(board, kept, True)
    keeper.tell_board(lambda: NOW_S + 2000)
    keeper.set_first(NOW_S * 1000)
    keeper.set((NOW_S + 10) * 1000, True)
    assert board.told == []


def test_without_a_time_and_a_certificate_nothing_is_told():
    board = Board()
    boot(board, Kept()).tell_board()
    assert board.told == []
