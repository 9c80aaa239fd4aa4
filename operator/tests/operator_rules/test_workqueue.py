"""The queue: each key once, never two workers on one, failures later and later."""

import asyncio

from meter_operator.desired import Key
from meter_operator.workqueue import WorkQueue

KEY = Key("street", "house-1")


async def run(queue, look, seconds=0.05):
    workers = [asyncio.create_task(queue.work(look)) for _ in range(4)]
    await asyncio.sleep(seconds)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_a_key_that_waits_is_not_added_twice():
    queue, seen = WorkQueue(), []

    async def look(key):
        seen.append(key)
        return False

    queue.add(KEY)
    queue.add(KEY)
    await run(queue, look)
    assert seen == [KEY]


async def test_a_key_added_while_at_work_is_looked_at_once_more_and_never_at_once():
    queue, running, most, count = WorkQueue(), 0, 0, 0

    async def look(key):
        nonlocal running, most, count
        running, count = running + 1, count + 1
        most = max(most, running)
        if count == 1:
            queue.add(key)
        await asyncio.sleep(0.005)
        running -= 1
        return False

    queue.add(KEY)
    await run(queue, look)
    assert (count, most) == (2, 1)


async def test_a_failure_is_tried_again_later():
    queue, count = WorkQueue(), 0

    async def look(_):
        nonlocal count
        count += 1
        raise ValueError

    queue.add(KEY)
    await run(queue, look)
    assert count == 1
    await run(queue, look, 0.6)
    assert count == 2
