"""An event loop without a real clock, threads or I/O: several processes in one, and a seed that says whose turn it is.

A callback belongs to the process in whose context it was scheduled. Within a process callbacks run in their order, as
asyncio promises; which process runs next is drawn, and time jumps to the next timer once nobody has anything to do. A
frozen process (SIGSTOP) keeps what becomes ready and runs nothing; a killed one (SIGKILL) never runs again, not even
its `finally` clauses.
"""

import asyncio
import heapq
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STEPS_MAX: Final = 3_000_000
"""Callbacks of one world; more is a livelock, as virtual time would stand still."""

START_S: Final = 1_700_000_000.0
"""Virtual unix time at which a world begins."""


def seeded(seed: str) -> Random:
    """Chance that is told by a seed."""
    return Random(seed)  # noqa: S311  worlds, not secrets


class Process:
    """What is killed, frozen and thawed as a whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mark = name.encode()
        self.ready: deque[asyncio.Handle] = deque()
        self.is_frozen = False
        self.is_dead = False

    def __repr__(self) -> str:
        return self.name


SERVERS: Final = Process("servers")
"""Whose the effects in the stores are: they are nobody's to freeze."""

PROCESS: ContextVar[Process] = ContextVar("PROCESS", default=SERVERS)


class _Future(asyncio.Future[Any]):
    """Numbered: sets of futures would otherwise be walked in the order of their addresses, another one each run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, number: int) -> None:
        super().__init__(loop=loop)
        self._number = number

    def __hash__(self) -> int:
        return self._number


class _Task(asyncio.Task[Any]):
    """Numbered like futures."""

    def __init__(self, coro: Coroutine[Any, Any, Any], number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class SimulatedLoop(asyncio.SelectorEventLoop):
    """`trace` is a checksum over everything that happened so far: equal seeds give equal traces."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng
        self._now_s = START_S
        self._runnable: list[Process] = []
        self._timers: list[tuple[float, int, Process, asyncio.TimerHandle]] = []
        self._numbers = count(1)
        self._tasks: list[asyncio.Task[Any]] = []
        self._processes: dict[Process, None] = {}
        self.steps = 0
        self.trace = 0
        self.failure: BaseException | None = None
        self.is_burying = False
        self.tells: Callable[[str], None] | None = None
        SERVERS.ready.clear()
        self.set_task_factory(self._make_task)
        self.set_exception_handler(self._callback_broke)

    def time(self) -> float:
        return self._now_s

    def now_us(self) -> int:
        """Virtual unix time."""
        return round(self._now_s * 1_000_000)

    def spawn(self, process: Process, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts a coroutine in a process."""
        self._processes[process] = None
        context = Context()
        context.run(PROCESS.set, process)
        return self.create_task(coro, context=context)

    def freeze(self, process: Process) -> None:
        """SIGSTOP."""
        self.tell(f"freezes {process}")
        process.is_frozen = True
        if process in self._runnable:
            self._runnable.remove(process)

    def thaw(self, process: Process) -> None:
        """SIGCONT; what was killed stays dead."""
        self.tell(f"thaws {process}")
        if not process.is_dead and process.is_frozen:
            process.is_frozen = False
            if process.ready:
                self._runnable.append(process)

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        self.tell(f"kills {process}")
        self.freeze(process)
        process.is_dead = True

    def fail(self, error: BaseException) -> None:
        """Ends the run; the first failure stays."""
        if self.failure is None and not self.is_burying:
            self.failure = error

    def tell(self, what: str) -> None:
        """For whoever looks at a single world."""
        if self.tells is not None and not self.is_burying:
            self.tells(f"{self._now_s - START_S:9.4f} {PROCESS.get()}: {what}")

    def note(self, *parts: bytes) -> None:
        """Enters something that happened into the trace."""
        for part in parts:
            self.trace = zlib.crc32(part, self.trace)

    def run_world(self, main: Coroutine[Any, Any, T], process: Process) -> T:
        """Runs to the end of `main` or to the first failure, which is raised, and buries everything."""
        task = self.spawn(process, main)
        self._set_running(True)
        try:
            while not task.done() and self.failure is None:
                self._step()
            if self.failure is not None:
                raise self.failure
            return task.result()
        finally:
            self._bury()
            self._set_running(False)
            self.close()

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._enter(context.get(PROCESS, SERVERS), handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), context.get(PROCESS, SERVERS), handle))
        return handle

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """What a thread would do, done at some later moment in one piece."""
        future = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:
                future.set_exception(error)

        self.call_later(self._rng.random() * 0.005, work)
        return future

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(self, next(self._numbers))

    def _make_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> Any:
        task = _Task(coro, next(self._numbers), loop=loop, **options)
        self._tasks.append(task)
        return task

    def _enter(self, process: Process, handle: asyncio.Handle) -> None:
        process.ready.append(handle)
        if len(process.ready) == 1 and not process.is_frozen:
            self._runnable.append(process)

    def _step(self) -> None:
        if not self._runnable:
            self._pass_time()
            return
        place = self._rng.randrange(len(self._runnable)) if len(self._runnable) > 1 else 0
        process = self._runnable[place]
        handle = process.ready.popleft()
        if not process.ready:
            del self._runnable[place]
        if handle.cancelled():
            return
        self.steps += 1
        self.trace = zlib.crc32(process.mark, self.trace)
        handle._run()
        if self.steps > STEPS_MAX:
            self.fail(AssertionError(f"{STEPS_MAX} steps and no end: a livelock"))

    def _pass_time(self) -> None:
        if not self._timers:
            self.fail(AssertionError("everybody waits for somebody"))
            return
        self._now_s = max(self._now_s, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now_s:
            _, _, process, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                self._enter(process, handle)

    def _callback_broke(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback raised; what the garbage collector has to say comes after the end."""
        if "handle" in context and "exception" in context:
            self.fail(context["exception"])

    def _bury(self) -> None:
        """Every task ends by cancellation, the dead ones too: a coroutine that is merely dropped ends at random."""
        self.is_burying = True
        for process in self._processes:
            process.is_dead = False
            self.thaw(process)
        for _ in range(10):
            for task in self._tasks:
                if not task.done():
                    task.cancel()
            for _ in range(20_000):
                if not self._runnable and (not self._timers or all(task.done() for task in self._tasks)):
                    break
                self._step()
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()

    def _set_running(self, is_running: bool) -> None:
        asyncio._set_running_loop(self if is_running else None)
