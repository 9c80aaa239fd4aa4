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
