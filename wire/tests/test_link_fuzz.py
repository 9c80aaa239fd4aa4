"""A short run of the fuzz target; the long one is nightly."""

import importlib.util
import pathlib

FUZZ = pathlib.Path(__file__).parents[1] / "fuzz/fuzz_link.py"


def test_a_second_of_bad_frames_breaks_neither_end():
    spec = importlib.util.spec_from_file_location("fuzz_link", FUZZ)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.run(1.0, 1) > 0
