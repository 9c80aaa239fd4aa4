"""asyncio on a world's time: the tasks of a simulated process, run by the scheduler.

What the real code awaits, a pause, an event or an answer, goes on when the world says so, waits
while its process stands still, and never goes on after its end.
"""

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

from .scheduler import Actor, Scheduler


class TaskLoop(asyncio.AbstractEventLoop):
    """The event loop of one life of one process."""

    def __init__(self, scheduler: Scheduler, actor: Actor) -> None:
        self._scheduler, self._actor, self._life = scheduler, actor, actor.life

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task; that it raises is what must not be."""
        task = asyncio.Task(work, loop=self)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        error = task.exception()
        if error is not None and self._scheduler.broken is None:
            self._scheduler.broken = error  # type: ignore[assignment]

    # ---- what asyncio asks for

    def time(self) -> float:
        return self._scheduler.now_ms / 1000

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._scheduler.after(0, lambda: self._go_on(handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        delay_ms = math.ceil(round(when * 1000 - self._scheduler.now_ms, 3))
        self._scheduler.after(delay_ms, lambda: self._go_on(handle))
        return handle

    def _go_on(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            self._scheduler.act(self._actor, self._life, lambda: self._run(handle))

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():  # while its process stood still
            return
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(before)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays in the queue, and is not run."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take what asyncio reports: a task that ended with its process is no fault."""
        error = context.get("exception")
        if error is not None and self._scheduler.broken is None:
            self._scheduler.broken = error
