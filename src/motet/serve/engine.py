"""Asks are answered in batches: what arrives while the engine works is its next batch (serve/batching.py).

A batch that is alone may use several cores. Late values (a language model that writes) run beside the engine's
threads, which go on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from motet.answer import Answer
from motet.serve.batching import Batching
from motet.serve.trace import SPAN
from motet.serve.version import Running, Version

Row = Mapping[str, Any]
LATE_BATCHES = 16  # batches that may wait for late values at once
RESERVED = 0.1  # share of a request's time that is kept for what is answered instead
WAITING = 0.5  # share of a request's time that it may wait for its turn
MOMENT = 0.02  # seconds; who has no more than this did not lose them in the queue
SMOOTH = 0.1  # weight of the newest batch in the mean time that a request takes


class Overloaded(Exception):
    """The queue is full. seconds: after which it is worth trying again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the queue is full, try again in {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Limits:
    """threads: that work on batches. cores: that a batch may use which is alone. batch: requests in one at most.
    waiting: requests that may wait before more are refused. waiting_bytes: of bodies that are not answered yet.
    seconds: that a request has when it does not say."""

    threads: int = 2
    cores: int = 1
    batch: int = 16
    waiting: int = 1024
    waiting_bytes: int = 64 << 20
    seconds: float = 10.0


@dataclass(frozen=True)
class Reply:
    """What one ask got. answered_by: per place with an alternative, the model that answered. propensity: how likely
    it was that this version would answer this viewer. rival: the version whose items take turns with its own, where one
    does; ours: by output, which of the items are its own."""

    version: int
    answer: Answer
    answered_by: Mapping[str, str]
    propensity: float = 1.0
    rival: int | None = None
    ours: Mapping[str, list[bool]] = field(default_factory=dict[str, list[bool]])


@dataclass(eq=False)
class Request:
    """One ask on its way.

    ends: when the time of the strong models is over, as time.monotonic() tells it. seconds: that it has in all.
    early: told what can be answered at once, and then late texts as they grow, where somebody reads along.
    begun: when its turn came, as time.perf_counter() tells it.
    """

    row: Row
    version: Version
    ends: float
    seconds: float
    future: asyncio.Future[Reply]
    early: Callable[[Answer], None] | None = None
    begun: float | None = None
    arrived: float = field(default_factory=time.perf_counter)
    span: Any = field(default_factory=SPAN.get)


class Engine:
    """Answers asks on a few threads. catch_up: called with a version before every batch that it answers, so that it
    sees what has happened; several threads call it. measured: told of a batch and how long it kept its thread. ran:
    told what was run for a batch, once it is answered; without its requests where it failed, or all have left."""

    def __init__(
        self,
        limits: Limits,
        *,
        catch_up: Callable[[Version], None] = lambda version: None,
        measured: Callable[[Sequence[Request], float], None] = lambda batch, seconds: None,
        ran: Callable[[Running, Sequence[Request]], None] = lambda running, batch: None,
    ) -> None:
        self.limits, self._catch_up, self._measured, self._ran = limits, catch_up, measured, ran
        self.bytes = 0
        self._batching = Batching[Request](limits.threads, limits.batch, lambda request: request.future.done())
        self._open = True
        self._seconds = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._called = False
        self._late = ThreadPoolExecutor(LATE_BATCHES, "motet-late")
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(limits.threads)]

    @property
    def waiting(self) -> deque[Request]:
        """The requests whose turn has not come."""
        return self._batching.waiting

    def start(self) -> None:
        """Begins to work, for the running event loop."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Finishes what waits; takes nothing new."""
        self._open = False
        self._batching.close()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        self._late.shutdown()

    async def ask(
        self, version: Version, row: Row, *, size: int = 0, ends: float | None = None, early: Any = None
    ) -> Reply:
        """The reply to one ask. ends: when the client's time is over, as time.monotonic() tells it.

        Errors: Overloaded, at once or where its turn came too late; TimeoutError where even what was declared for this
        case was not there in time; those of the graph. Where nobody waits any more it is not computed, unless it
        already is.
        """
        loop, now = asyncio.get_running_loop(), time.monotonic()
        seconds = self.limits.seconds if ends is None else ends - now
        self._admit(size, seconds)
        request = Request(row, version, now + seconds * (1 - RESERVED), seconds, loop.create_future(), early)
        self.waiting.append(request)
        if not self._called:
            # After this turn of the loop: whatever has arrived by then is read, and goes along.
            self._called = True
            loop.call_soon(self._call)
        self.bytes += size
        over = loop.call_later(seconds, self._expire, request)
        try:
            return await request.future
        finally:
            over.cancel()
            self.bytes -= size
            if request.begun is None:
                self._batching.withdraw(request)

    def _expire(self, request: Request) -> None:
        """Where a request lost its time in the queue it was refused all the same, only late: it may try again."""
        if request.future.done():
            return
        waited = (request.begun or time.perf_counter()) - request.arrived
        crowded = waited > max(request.seconds * WAITING, MOMENT)
        request.future.set_exception(Overloaded(max(1.0, self._wait())) if crowded else TimeoutError())

    def _wait(self) -> float:
        """Seconds until all that waits now has had its turn."""
        return len(self.waiting) * self._seconds / self.limits.threads

    def _admit(self, size: int, seconds: float) -> None:
        """Refuses what there is no room for, and what would wait for most of its time."""
        if seconds <= 0:
            raise TimeoutError
        waits = self._wait()
        full = len(self.waiting) >= self.limits.waiting or self.bytes + size > self.limits.waiting_bytes
        if full or waits > seconds * WAITING or not self._open:
            raise Overloaded(max(1.0, waits))

    def _call(self) -> None:
        self._called = False
        self._batching.call()

    def _work(self) -> None:
        worker = self._batching.worker()
        while not self._batching.ended():
            with self._batching.turn(worker) as (batch, alone):
                if batch:
                    self._run(batch, self.limits.cores if alone else 1)

    def _run(self, batch: list[Request], cores: int) -> None:
        began = time.perf_counter()
        for request in batch:
            request.begun = began
        for version in dict.fromkeys(request.version for request in batch):
            for mine in _alike([request for request in batch if request.version is version]):
                try:
                    self._catch_up(version)
                    self._answer(version, mine, cores)
                except Exception as error:  # a thread that ended would take no batch any more
                    self._deliver(mine, [error] * len(mine))
        seconds = time.perf_counter() - began
        self._seconds += SMOOTH * (seconds / len(batch) - self._seconds)
        self._measured(batch, seconds)

    def _answer(self, version: Version, batch: list[Request], cores: int, again: bool = False) -> None:
        """Answers a batch; where it fails as a whole, each request by itself, so that none spoils the others'."""
        running: Running | None = None
        try:
            rows, ends = [request.row for request in batch], min(request.ends for request in batch)
            running = version.begin(rows, ends, cores)
            running.run.again = again
            early, waits = running.early(), running.waits()
            self._settle(running, batch, early, [row for row in range(len(batch)) if row not in waits])
        except Exception as error:
            if len(batch) == 1:
                self._deliver(batch, [error])
            else:
                for request in batch:
                    self._answer(version, [request], cores, again=True)
            if running is not None:
                self._ran(running, [])
            return
        if waits:
            self._tell(batch, early)
            self._late.submit(self._finish, running, batch, early, waits, time.monotonic())
        else:
            self._ran(running, batch)

    def _settle(self, running: Running, batch: list[Request], early: list[Answer], rows: list[int]) -> None:
        """Answers those of a batch that are in these rows, with what they wait for."""
        if rows:
            late = running.late(rows)
            replies = [_reply(running, row, early[row] | more) for row, more in zip(rows, late, strict=True)]
            self._deliver([batch[row] for row in rows], replies)

    def _finish(
        self, running: Running, batch: list[Request], early: list[Answer], rows: list[int], since: float
    ) -> None:
        """Answers those of a batch that wait for late values."""
        waiting = [batch[row] for row in rows]
        if all(request.future.done() for request in waiting):
            self._ran(running, [])
            return
        running.run.waited, running.run.left = time.monotonic() - since, (left := threading.Event())
        self._soon(lambda: _when_done([request.future for request in waiting], left.set))
        if any(request.early for request in waiting):
            running.hear(lambda row, answer: self._tell([batch[row]], [answer]))
        try:
            self._settle(running, batch, early, rows)
        except Exception as error:
            self._deliver(waiting, [error] * len(waiting))
            self._ran(running, [])
            return
        self._ran(running, batch)

    def _tell(self, batch: list[Request], early: list[Answer]) -> None:
        waiting = [(request, answer) for request, answer in zip(batch, early, strict=True) if not request.future.done()]
        told = [(request.early, answer) for request, answer in waiting if request.early]
        if told:
            self._soon(lambda: [tell(answer) for tell, answer in told])

    def _deliver(self, batch: list[Request], results: Sequence[Reply | Exception]) -> None:
        def deliver() -> None:
            for request, result in zip(batch, results, strict=True):
                if request.future.done():
                    continue
                if isinstance(result, Exception):
                    request.future.set_exception(result)
                else:
                    request.future.set_result(result)

        self._soon(deliver)

    def _soon(self, call: Callable[[], Any]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(call)


def _alike(batch: list[Request]) -> list[list[Request]]:
    """Batches of requests that have about as much time left, the most urgent first: the least that one of them has,
    which is what all of them get, is at least half of what any has."""
    now, batches = time.monotonic(), list[list[Request]]()
    for request in sorted(batch, key=lambda request: request.ends):
        if batches and request.ends - now <= 2 * max(batches[-1][0].ends - now, MOMENT):
            batches[-1].append(request)
        else:
            batches.append([request])
    return batches


def _when_done(futures: Sequence[asyncio.Future[Any]], call: Callable[[], None]) -> None:
    """Calls once all of them are done, be it that somebody gave up waiting. On the event loop."""
    waiting = {future for future in futures if not future.done()}

    def done(future: asyncio.Future[Any]) -> None:
        waiting.discard(future)
        if not waiting:
            call()

    for future in list(waiting):
        future.add_done_callback(done)
    if not waiting:
        call()


def _reply(running: Running, row: int, answer: Answer) -> Reply:
    return Reply(running.version.number, answer, running.answered_by(row))
