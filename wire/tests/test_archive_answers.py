"""What the archive answers to a batch: said and understood alike, and refused when it is none."""

import pytest
from meter_wire.archive_batch import MOST_HOLES, ArchiveAnswer, encode_answer, parse_answer
from meter_wire.effects import Hole
from meter_wire.names import MAX_SEQ

PLAIN = {"archived": 9, "new": 1, "duplicates": 2, "conflicts": 3}


@pytest.mark.parametrize("holes", [(), (Hole(1, 4, 1), Hole(MAX_SEQ, MAX_SEQ, 3))])
def test_an_answer_comes_back_as_it_was_said(holes):
    answer = ArchiveAnswer(9, 1, 2, 3, holes)
    assert parse_answer(encode_answer(answer)) == answer


def test_an_answer_without_holes_is_that_of_an_archive_before_them():
    assert encode_answer(ArchiveAnswer(9, 1, 2, 3)) == PLAIN
    assert parse_answer(PLAIN | {"later": "unknown"}).holes == ()


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "archived"),
        (PLAIN | {"new": True}, "new"),
        (PLAIN | {"archived": -1}, "archived"),
        (PLAIN | {"holes": {}}, "holes is no list"),
        (PLAIN | {"holes": [[1, 1, 1]] * (MOST_HOLES + 1)}, "holes is no list"),
        (PLAIN | {"holes": [[1, 2]]}, "one of holes"),
        (PLAIN | {"holes": [[0, 2, 1]]}, "one of holes"),
        (PLAIN | {"holes": [[3, 2, 1]]}, "one of holes"),
        (PLAIN | {"holes": [[1, MAX_SEQ + 1, 1]]}, "one of holes"),
        (PLAIN | {"holes": [["1", 2, 1]]}, "one of holes"),
        (PLAIN | {"holes": [7]}, "one of holes"),
    ],
)
def test_what_is_no_answer_is_refused_by_name(document, told):
    with pytest.raises(ValueError, match=told):
        parse_answer(document)
