"""Work on threads for clients of an event loop: so much at once, so much waiting, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from motet.serve.engine import Overloaded

T = TypeVar("T")
R = TypeVar("R")
WAITING = 8  # times as much may wait as is worked on at once


class Threads:
    """at_once: how many work. Work waits for its turn with its client, so that nothing is left of it where that leaves.

    ends: when the client's time is over, as time.monotonic() tells it.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once, self.busy = at_once, 0
        self._pool = ThreadPoolExecutor(at_once, "motet-beside")
        self._free = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], T], ends: float) -> T:
        """What the work gives. Errors: its own; Overloaded, also where its turn did not come in time; TimeoutError."""
        with self._place():
            started = await self._begun(work, ends)
            async with asyncio.timeout(ends - time.monotonic()):
                return await asyncio.wrap_future(started)

    async def pieces(
        self, work: Callable[[threading.Event], Generator[T, None, R]], ends: float
    ) -> AsyncGenerator[T | R, None]:
        """What a generator yields, as it comes, and last what it returns. Leaving it leaves the generator, which keeps
        to the time by itself once its turn has come, and is given an event that is set when nobody listens any more.

        Errors: those of the work; Overloaded.
        """
        with self._place():
            loop = asyncio.get_running_loop()
            heard: asyncio.Queue[tuple[bool, Any]] = asyncio.Queue()
            left = threading.Event()

            def tell(last: bool, value: Any) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is gone, and everybody with it
                    loop.call_soon_threadsafe(heard.put_nowait, (last, value))

            await self._begun(lambda: _through(work, left, tell), ends)
            try:
                last = False
                while not last:
                    last, value = await heard.get()
                    if isinstance(value, Exception):
                        raise value
                    yield value
            finally:
                left.set()

    async def _begun(self, work: Callable[[], T], ends: float) -> Future[T]:
        """The work, once it is its turn. Its thread is free again when it ends, whoever still waits for it."""
        try:
            async with asyncio.timeout(ends - time.monotonic()):
                await self._free.acquire()
        except TimeoutError:
            raise Overloaded(1.0) from None
        loop = asyncio.get_running_loop()

        def free(done: Future[T]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(self._free.release)

        started = self._pool.submit(work)
        started.add_done_callback(free)
        return started

    @contextlib.contextmanager
    def _place(self) -> Generator[None, None, None]:
        if self.busy >= self.at_once * (1 + WAITING):
            raise Overloaded(1.0)
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


def _through(
    work: Callable[[threading.Event], Generator[Any, None, Any]],
    left: threading.Event,
    tell: Callable[[bool, Any], None],
) -> None:
    """Goes through a generator until somebody has left."""
    try:
        with contextlib.closing(work(left)) as pieces:
            while not left.is_set():
                try:
                    piece = next(pieces)
                except StopIteration as end:
                    tell(True, end.value)
                    return
                tell(False, piece)
    except Exception as error:
        tell(True, error)
