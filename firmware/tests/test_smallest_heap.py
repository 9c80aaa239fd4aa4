"""The search for the smallest heap finds the edge, and tells a meter that did not do its work."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "firmware"))
import board_file
import build_firmware
import smallest_heap

KIB = 1024


@pytest.mark.parametrize("edge", [17, 18, 31, 32, 33, 47, 48])
def test_the_edge_is_found_and_both_sides_of_it_were_tried(edge):
    tried = []

    def works(heap):
        tried.append(heap)
        return heap >= edge * KIB

    assert smallest_heap.bisect(16 * KIB, 48 * KIB, works) == edge * KIB
    assert edge * KIB in tried
    assert (edge - 1) * KIB in tried or edge == 17
    assert len(tried) <= 7


def test_nothing_is_found_where_the_largest_is_too_little():
    assert smallest_heap.bisect(16 * KIB, 48 * KIB, lambda _: False) is None


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("heap", "works"), [(16 * KIB, False), (38 * KIB, True)])
def test_the_small_profile_works_in_its_boards_heap_and_not_in_less_than_half(heap, works):
    board = board_file.load_board("esp8266")
    assert board["heap_bytes"] == 38 * KIB
    assert smallest_heap.does_its_work(board, Path(), heap) is works


@pytest.mark.timeout(200)
def test_the_whole_firmware_works_in_its_boards_heap_from_a_rom_partition(tmp_path):
    build_firmware.build_board(board_file.load_board("unix"), tmp_path / "unix")
    board = board_file.load_board("esp32")
    assert smallest_heap.does_its_work(board, tmp_path / "unix", board["heap_bytes"])
