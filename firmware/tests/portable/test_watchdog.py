"""The watchdog starts at once, but not for ever in a row of its own resets. Both Pythons."""

from flash_with_cuts import CutFlash, Medium
from state import State
from watchdog import MOST_RESETS, WELL_MS, Watchdog


class Board:
    """Boots on one flash; `started` and `fed` are what it saw of its watchdog."""

    def __init__(self, cause, medium=None):
        self.medium = medium or Medium()
        self.now_ms = 0
        self.started = self.fed = 0
        self.state = State(CutFlash(self.medium))
        self.dog = Watchdog(self.start, cause, self.state, lambda: self.now_ms)
        self.state.save()

    def start(self):
        self.started += 1
        return self.feed

    def feed(self):
        self.fed += 1

    def again(self, cause):
        return Board(cause, self.medium.survive())


def reset(board, times):
    for _ in range(times):
        board = board.again("watchdog")
    return board


def test_it_starts_at_once_and_is_fed():
    board = Board("power")
    assert board.started == 1
    board.dog.feed()
    assert board.fed == 1


def test_after_so_many_resets_in_a_row_it_waits_for_an_hour_of_health():
    board = reset(Board("power"), MOST_RESETS - 1)
    assert board.started == 1
    board = board.again("watchdog")
    assert board.started == 0
    board.now_ms = WELL_MS - 1
    board.dog.feed()
    assert (board.started, board.fed) == (0, 0)
    board.now_ms = WELL_MS
    board.dog.feed()
    assert (board.started, board.fed) == (1, 1)
    board.dog.feed()
    assert (board.started, board.fed) == (1, 2)
    assert reset(board, MOST_RESETS - 1).started == 1, "the row is over"


def test_any_other_start_ends_the_row():
    for cause in ("power", "hard", "soft", "sleep", "unknown"):
        board = reset(Board("power"), MOST_RESETS).again(cause)
        assert board.started == 1
        assert reset(board, MOST_RESETS - 1).started == 1


def test_a_long_row_stays_one():
    assert reset(Board("power"), 300).started == 0


def test_health_is_written_to_the_flash_once():
    board = reset(Board("power"), 1)
    board.now_ms = WELL_MS
    before = board.medium.operations
    for _ in range(100):
        board.dog.feed()
    assert board.medium.operations - before == 2, "one slot"
