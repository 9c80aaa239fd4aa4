"""A long step says what it is, how long it lasts so far, and how long it took."""

import json
import re

from own_checkout import Checkout

# Each step ends when what it waits for was said, however busy the machine is.
BEGIN = """
import contextlib, io, json, re, threading, time
import progress

said = io.StringIO()

def wait_for(pattern):
    end = time.monotonic() + 50
    while not re.search(pattern, said.getvalue()) and time.monotonic() < end:
        time.sleep(0.01)

begun = time.monotonic()
with contextlib.redirect_stdout(said), contextlib.suppress(KeyError):
"""
END = """
lasted_s = time.monotonic() - begun
print(json.dumps([said.getvalue().splitlines(), lasted_s, threading.active_count()]))
"""


def lines_of(checkout: Checkout, *inside: str) -> tuple[list[str], float, int]:
    """Run a step; return what was said without the clock, its seconds, the threads at its end."""
    body = "".join(f"    {line}\n" for line in inside)
    done = checkout.ask(BEGIN + body + END)
    assert done.returncode == 0, done.stderr
    lines, lasted_s, threads = json.loads(done.stdout)
    clocks = [re.fullmatch(r"\[ *\d+s\] (.*)", line) for line in lines]
    return [clock[1] for clock in clocks if clock], lasted_s, threads


def test_a_step_that_lasts_says_what_and_for_how_long_until_it_is_done(checkout: Checkout) -> None:
    said, lasted_s, threads = lines_of(
        checkout, "with progress.step('x', every_s=0.05):", "    wait_for('… x .[1-9]')"
    )
    assert said[0] == "==> x"
    reminders = [re.fullmatch(r"    … x \((\d+) s so far\)", line) for line in said[1:-1]]
    seconds = [int(found[1]) for found in reminders if found]
    assert len(seconds) == len(said) - 2
    assert seconds == sorted(seconds)
    # Before the first reminder that nobody asked for would come, after 20 s.
    assert seconds[0] < 20
    assert 1 <= seconds[-1] <= lasted_s + 0.5
    done = re.fullmatch(r"    done: x \((\d+\.\d) s\)", said[-1])
    assert done
    assert seconds[-1] - 0.6 <= float(done[1]) <= lasted_s + 0.1
    assert threads == 1


def test_a_short_step_says_only_that_it_began_and_how_long_it_took(checkout: Checkout) -> None:
    said, _, threads = lines_of(checkout, "with progress.step('x'):", "    pass")
    assert said[0] == "==> x"
    assert re.fullmatch(r"    done: x \(\d+\.\d s\)", said[1])
    assert (len(said), threads) == (2, 1)


def test_a_step_that_fails_is_not_called_done_and_reminds_no_more(checkout: Checkout) -> None:
    said, _, threads = lines_of(
        checkout,
        "with progress.step('x', every_s=0.05):",
        "    wait_for('… x')",
        "    raise KeyError",
    )
    assert said[0] == "==> x"
    assert said[1:]
    assert all(line.startswith("    … x (") for line in said[1:])
    assert threads == 1
