# ruff: noqa: SIM105 - MicroPython has no others
"""Tasks that die or fall silent are started again, the others go on. Both Pythons."""

import asyncio

from supervisor import Supervisor


class Time:
    def __init__(self):
        self.ms = 0

    def __call__(self):
        return self.ms


def start(works, silence_ms=5000, feed=None):
    time = Time()
    restarts = []
    supervisor = Supervisor(time, lambda *row: restarts.append(row), feed, lambda text: None)  # noqa: ARG005
    for name in sorted(works):
        supervisor.add(name, works[name], silence_ms)
    return supervisor, time, restarts


async def pass_time(supervisor, time, seconds):
    for _second in range(seconds):
        time.ms += 1000
        supervisor.poll(time.ms)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_a_memory_error_costs_one_task_one_restart():
    calls = {"bad": 0, "good": 0}

    async def bad(beat):
        calls["bad"] += 1
        if calls["bad"] == 1:
            raise MemoryError
        while True:
            beat()
            await asyncio.sleep(0)

    async def good(beat):
        calls["good"] += 1
        while True:
            beat()
            await asyncio.sleep(0)

    async def run():
        supervisor, time, restarts = start({"bad": bad, "good": good})
        await pass_time(supervisor, time, 10)
        assert calls == {"bad": 2, "good": 1}
        assert restarts == [(0, 1)]

    asyncio.run(run())


def test_a_silent_task_is_cancelled_and_started_again():
    calls = []

    async def silent(beat):  # noqa: ARG001
        calls.append(1)
        await asyncio.sleep(3600)

    async def run():
        supervisor, time, restarts = start({"silent": silent})
        await pass_time(supervisor, time, 20)
        assert len(calls) >= 2
        assert restarts[0] == (0, 1)

    asyncio.run(run())


def test_a_task_that_always_dies_is_tried_ever_more_rarely():
    calls = []

    async def dying(beat):  # noqa: ARG001
        calls.append(1)
        raise OSError(5)

    async def run():
        supervisor, time, _restarts = start({"dying": dying})
        await pass_time(supervisor, time, 60)
        assert 5 <= len(calls) <= 7

    asyncio.run(run())


def test_the_watchdog_starves_while_a_task_is_down():
    fed = []

    async def dying(beat):  # noqa: ARG001
        raise ValueError

    async def run():
        supervisor, time, _restarts = start({"dying": dying}, feed=lambda: fed.append(1))
        await pass_time(supervisor, time, 3)
        before = len(fed)
        time.ms += 100
        supervisor.poll(time.ms)
        assert len(fed) == before
        assert before < 3

    asyncio.run(run())


def beating(calls=None):
    async def work(beat):
        while True:
            beat()
            if calls is not None:
                calls.append(1)
            await asyncio.sleep(0)

    return work


def feeds(bad, seconds=300, before=0, silence_ms=5000):
    """Return how often the watchdog is fed beside two good tasks, after the first seconds."""
    fed = []

    async def run():
        works = {"bad": bad, "good": beating(), "other": beating()}
        supervisor, time, _restarts = start(works, silence_ms, lambda: fed.append(1))
        await pass_time(supervisor, time, before)
        del fed[:]
        await pass_time(supervisor, time, seconds)

    asyncio.run(run())
    return len(fed)


def test_the_watchdog_is_fed_while_all_tasks_beat():
    assert feeds(beating()) >= 299


def test_a_task_that_hangs_is_not_covered_by_the_beats_of_the_others():
    async def hangs(beat):
        beat()
        await asyncio.sleep(3600)

    assert feeds(hangs) == 1, "before it hung"
    assert feeds(hangs, silence_ms=65000, seconds=1000) == 1, "however long it is let"


def test_a_task_that_works_for_moments_between_hangs_is_not_covered_for_long():
    async def hangs(beat):
        for _ in range(3):
            beat()
            await asyncio.sleep(0)
        await asyncio.sleep(3600)

    assert feeds(hangs, before=1000, seconds=1000, silence_ms=65000) == 0


def test_a_task_that_cannot_even_be_stopped_is_not_covered_either():
    held = [True]

    async def holds(beat):
        beat()
        while held:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

    async def run():
        fed = []
        works = {"bad": holds, "good": beating()}
        supervisor, time, _restarts = start(works, 5000, lambda: fed.append(1))
        await pass_time(supervisor, time, 300)
        assert len(fed) == 1
        held.clear()

    asyncio.run(run())


def test_a_task_that_dies_for_ever_is_not_covered_by_its_beats_before_each_death():
    async def dies(beat):
        beat()
        await asyncio.sleep(0)
        beat()
        raise OSError(5)

    assert feeds(dies, before=10) == 0


def test_a_task_without_memory_even_to_start_is_not_covered_and_the_others_live():
    calls = []
    fed = []
    starved = [True]

    def starves(beat):
        if starved:
            raise MemoryError
        return beating()(beat)

    async def run():
        supervisor, time, restarts = start(
            {"bad": starves, "good": beating(calls)}, 5000, lambda: fed.append(1)
        )
        await pass_time(supervisor, time, 300)
        assert (fed, len(calls) >= 299) == ([], True)
        assert restarts[-1] == (0, len(restarts))
        starved.clear()
        await pass_time(supervisor, time, 130)
        assert fed, "and it is back when there is memory"

    asyncio.run(run())


def test_a_task_that_died_once_starves_the_watchdog_for_seconds_only():
    calls = []

    async def dies_once(beat):
        calls.append(1)
        left = 20 if len(calls) == 1 else 1000000
        while left:
            left -= 1
            beat()
            await asyncio.sleep(0)
        raise MemoryError

    assert feeds(dies_once) >= 290
    assert len(calls) == 2


def test_a_restart_that_could_not_be_recorded_is_recorded_later():
    told = []
    fails = [1, 1, 1]

    def record(*row):
        if fails:
            fails.pop()
            raise MemoryError
        told.append(row)

    async def dies(beat):  # noqa: ARG001
        raise ValueError

    async def run():
        time = Time()
        supervisor = Supervisor(time, record, None, lambda text: None)  # noqa: ARG005
        supervisor.add("dies", dies)
        supervisor.add("good", beating())
        await pass_time(supervisor, time, 6)
        assert told
        assert supervisor.tasks[1].running

    asyncio.run(run())
