"""Keeps the meter's tasks alive: who dies or falls silent is started again, counted, recorded.

Each task is a coroutine function that is given `beat` and calls it at least every `silence_ms`.
A MemoryError in one task (a board's daily bread) costs that task one restart and nobody else
anything. The watchdog is fed when every task has beaten since it was fed last, so no task's beats
cover another that hangs, and a frozen firmware reboots. A task that died or hung counts again when
it has lived as long as it was made to wait: one beat before each death is no life.
Neighbours: `main`, which adds the tasks; `watchdog`, which is fed.
"""

import asyncio
import gc

FIRST_PAUSE_MS = 1000
MAX_PAUSE_MS = 60000
HEALTHY_MS = 60000


class Watched:
    """One task: its state is `running` or waiting until `due_ms` for its next start."""

    def __init__(self, name: str, work, silence_ms: int) -> None:
        self.name = name
        self.work = work
        self.silence_ms = silence_ms
        self.restarts = 0
        self.error = ""
        self.running = False
        self.beaten = self.is_untold = False
        self.task = None
        self.pause_ms = FIRST_PAUSE_MS
        self.beat_ms = self.started_ms = self.due_ms = self.waited_ms = self.trusted_ms = 0


class Supervisor:
    """Starts, watches and restarts tasks; see the module's docstring."""

    def __init__(self, uptime_ms, on_restart, feed=None, log=print) -> None:
        """Watch nothing yet.

        Args:
            uptime_ms: () → milliseconds since boot.
            on_restart: (index of the task, restarts) → None, records the event.
            feed: () → None, the hardware watchdog; None without one.
            log: (text) → None.
        """
        self.tasks = []
        self._uptime_ms = uptime_ms
        self._on_restart = on_restart
        self._feed = feed
        self._log = log

    def add(self, name: str, work, silence_ms: int = 30000) -> None:
        """Add a task: `work(beat)` makes its coroutine."""
        self.tasks.append(Watched(name, work, silence_ms))

    async def run(self, period_ms: int = 500) -> None:
        """Watch for ever."""
        while True:
            self.poll(self._uptime_ms())
            await asyncio.sleep(period_ms / 1000)

    def poll(self, now_ms: int) -> None:
        """Start what is due, cancel what is silent, feed the watchdog if all have beaten."""
        for watched in self.tasks:
            try:
                self._watch(watched, now_ms)
            except Exception:  # no memory or no flash for this one: at the next poll again
                gc.collect()
        if self._feed is None:
            return
        for watched in self.tasks:
            if not (watched.running and watched.beaten):
                return
        for watched in self.tasks:
            watched.beaten = False
        self._feed()

    def _watch(self, watched, now_ms: int) -> None:
        if not watched.running:
            if now_ms >= watched.due_ms:
                self._start(watched, now_ms)
        elif now_ms - watched.beat_ms > watched.silence_ms:
            watched.error = "silent"
            watched.beat_ms = now_ms
            watched.task.cancel()
        if watched.is_untold:
            self._on_restart(self.tasks.index(watched), watched.restarts)
            watched.is_untold = False

    def _start(self, watched, now_ms: int) -> None:
        """Start a task; without memory for it, it stays down and is due at the next poll."""
        watched.beaten = False
        watched.task = asyncio.create_task(self._guard(watched))
        watched.started_ms = watched.beat_ms = now_ms
        watched.running = True
        error, watched.error = watched.error, ""
        if error:
            watched.restarts += 1
            watched.trusted_ms = now_ms + watched.waited_ms
            watched.is_untold = True
            self._log("task %s: %s, start %d" % (watched.name, error, watched.restarts))

    async def _guard(self, watched) -> None:
        def beat() -> None:
            watched.beat_ms = now_ms = self._uptime_ms()
            if now_ms >= watched.trusted_ms:
                watched.beaten = True

        try:
            await watched.work(beat)
            watched.error = "ended"
        except asyncio.CancelledError:
            watched.error = watched.error or "cancelled"
        except MemoryError:
            watched.error = "MemoryError"
            gc.collect()
        except Exception as error:
            watched.error = watched.error or _name(error)
        finally:
            watched.running = False  # first: what follows may fail too, and it is due again then
            now_ms = self._uptime_ms()
            if now_ms - watched.started_ms > HEALTHY_MS and watched.error != "silent":
                watched.pause_ms = FIRST_PAUSE_MS
            watched.due_ms = now_ms + watched.pause_ms
            watched.waited_ms = watched.pause_ms
            watched.pause_ms = min(watched.pause_ms * 2, MAX_PAUSE_MS)


def _name(error) -> str:
    """Return class, number and place of an error, never its text: it may hold a value."""
    text = type(error).__name__
    if isinstance(error, OSError) and error.args and isinstance(error.args[0], int):
        text += " %d" % error.args[0]
    return text
