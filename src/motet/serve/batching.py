"""Which of the waiting requests go together, and when.

A free thread begins as soon as the event loop has read what has arrived, so a lone request never waits for company. A
thread that becomes free takes what waits. While all other threads work it may wait for a moment, so that those whom it
has just answered, and who ask again at once, come along: half of all that is on its way for each of two threads, not a
third, and a batch costs much whatever is in it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Request = TypeVar("Request")
PATIENCE = 0.2  # share of a batch's time that its thread may wait for those whom it has answered
LONGEST = 0.02  # seconds; no thread waits longer
SMOOTH = 0.1  # weight of the newest wait in the share of waits that were worth it
TRIED = 16  # where waiting is not worth it, it is tried again once in so many times


@dataclass(eq=False)
class Worker:
    """A thread that takes batches. answered, seconds: how many requests its last batch held, and the time it took."""

    called: threading.Condition
    answered: int = 0
    seconds: float = 0.0


class Batching(Generic[Request]):
    """The requests that wait, and the threads that wait for them. most: requests in one batch. gone: whether nobody
    waits for a request any more."""

    def __init__(self, threads: int, most: int, gone: Callable[[Request], bool]) -> None:
        self.waiting: deque[Request] = deque()
        self._threads, self._most, self._gone = threads, most, gone
        self._lock = threading.Lock()
        self._idle: list[Worker] = []  # the latest last: its caches are warm
        self._lingering: dict[Worker, int] = {}  # until so many requests wait
        self._coming, self._inside, self._open = 0, 0, True
        self._worth, self._turns = 1.0, 0

    def worker(self) -> Worker:
        """A thread that is about to take batches."""
        return Worker(threading.Condition(self._lock))

    def withdraw(self, request: Request) -> None:
        """One that nobody waits for takes nobody's place."""
        with self._lock, contextlib.suppress(ValueError):
            self.waiting.remove(request)

    def call(self) -> None:
        """Wakes threads for what waits. The event loop calls it when it has read all that has arrived."""
        with self._lock:
            self._wake(min(len(self._idle), len(self.waiting)))
            for worker, wanted in self._lingering.items():
                if len(self.waiting) >= wanted:
                    worker.called.notify()

    def close(self) -> None:
        """What waits is still taken, and then the threads end."""
        with self._lock:
            self._open = False
            self._wake(len(self._idle))
            for worker in self._lingering:
                worker.called.notify()

    @contextmanager
    def turn(self, worker: Worker) -> Generator[tuple[list[Request], bool]]:
        """The next batch, and whether it is all that there is to do; the thread works on it until the block ends.

        Empty once all is done.
        """
        with self._lock:
            self._linger(worker)
            batch, alone = self._take(worker)
        began = time.perf_counter()
        try:
            yield batch, alone
        finally:
            worker.answered, worker.seconds = len(batch), time.perf_counter() - began
            with self._lock:
                self._inside -= len(batch)

    def ended(self) -> bool:
        return not self._open and not self.waiting

    def _wake(self, threads: int) -> None:
        for _ in range(threads):
            self._idle.pop().called.notify()
            self._coming += 1

    def _linger(self, worker: Worker) -> None:
        """Waits for those whom this thread has just answered, as long as that has been worth it of late."""
        fair = -(-(len(self.waiting) + self._inside + worker.answered) // self._threads)
        wanted = min(fair, self._most, len(self.waiting) + worker.answered)
        if not self._open or self._idle or not self._inside or len(self.waiting) >= wanted:
            return
        self._turns += 1
        if self._worth < 0.5 and self._turns % TRIED:
            return
        self._lingering[worker] = wanted
        worker.called.wait(min(PATIENCE * worker.seconds, LONGEST))
        del self._lingering[worker]
        self._worth += SMOOTH * ((len(self.waiting) >= wanted) - self._worth)

    def _take(self, worker: Worker) -> tuple[list[Request], bool]:
        """What waits, shared fairly among the threads that are coming for it, be it a moment later."""
        self._coming += 1
        while self._open and not self.waiting:
            self._coming -= 1
            self._idle.append(worker)
            worker.called.wait()
        share = -(-len(self.waiting) // (self._coming + len(self._lingering)))
        self._coming -= 1
        taken: list[Request] = []
        while self.waiting and len(taken) < min(share, self._most):
            request = self.waiting.popleft()
            if not self._gone(request):
                taken.append(request)
        alone = not self.waiting and not self._inside
        self._inside += len(taken)
        return taken, alone
