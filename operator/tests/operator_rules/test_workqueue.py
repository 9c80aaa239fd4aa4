"""The queue: each key once, never two workers on one, failures later and later."""

import asyncio

from meter_operator.desired import Key
from meter_operator.workqueue import FIRST_RETRY_S, WorkQueue

KEY = Key("street", "house-1")


async def run(queue, look, done):
    """Let four workers look until `done`, and a little longer."""
    workers = [asyncio.create_task(queue.work(look)) for _ in range(4)]
    for _ in range(10_000):
        if done():
            break
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
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
    await run(queue, look, lambda: seen)
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
    await run(queue, look, lambda: count >= 2 and not running)
    assert (count, most) == (2, 1)


async def test_a_failure_is_tried_again_later():
    queue, times_s = WorkQueue(), []

    async def look(_):
        times_s.append(asyncio.get_running_loop().time())
        raise ValueError

    queue.add(KEY)
    await run(queue, look, lambda: len(times_s) >= 3)
    first, second, third = times_s[:3]
    assert second - first >= FIRST_RETRY_S / 2 - 0.01  # half of it may be chance
    assert third - second >= FIRST_RETRY_S - 0.01  # of twice as much
