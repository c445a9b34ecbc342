"""Work beside the engine: it waits with its client, and goes with it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any

import pytest

from motet.serve.engine import Overloaded
from motet.serve.threads import WAITING, Threads

Call = Callable[[Threads, Callable[[], Any], float], Coroutine[Any, Any, Any]]


class Texts(list[str]):
    """What somebody sent."""


async def run(threads: Threads, work: Callable[[], Any], ends: float) -> Any:
    return await threads.run(work, ends)


async def last_piece(threads: Threads, work: Callable[[], Any], ends: float) -> Any:
    def pieces(left: threading.Event) -> Generator[int, None, Any]:
        yield 0
        return work()

    said: list[Any] = []
    async with contextlib.aclosing(threads.pieces(pieces, ends)) as found:
        async for piece in found:
            said.append(piece)
    return said[-1]


@contextlib.asynccontextmanager
async def busy(threads: Threads) -> AsyncGenerator[None]:
    """All threads are at work on something that takes until the block ends."""
    gate = threading.Event()
    working = [asyncio.ensure_future(threads.run(lambda: gate.wait(20), soon(20))) for _ in range(threads.at_once)]
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        gate.set()
        assert await asyncio.gather(*working) == [True] * threads.at_once


def soon(seconds: float) -> float:
    return time.monotonic() + seconds


@pytest.mark.parametrize("call", [run, last_piece])
def test_nothing_is_left_of_who_leaves_before_its_turn(call: Call) -> None:
    async def alone() -> None:
        threads, worked, texts = Threads(1), list[int](), Texts(["a"] * 1000)
        held = weakref.ref(texts)
        async with busy(threads):
            leaving = asyncio.ensure_future(call(threads, lambda texts=texts: worked.append(len(texts)), soon(20)))
            del texts
            await asyncio.sleep(0.05)
            assert (held() is not None, threads.busy) == (True, 2)
            leaving.cancel()
            await asyncio.wait([leaving])
            del leaving
            gc.collect()
            assert (held(), threads.busy) == (None, 1)
        assert await call(threads, lambda: 7, soon(20)) == 7
        assert not worked

    asyncio.run(alone())


@pytest.mark.parametrize("call", [run, last_piece])
def test_whose_time_is_over_before_its_turn_is_refused_then_and_not_worked_on(call: Call) -> None:
    async def crowded() -> None:
        threads, worked, began = Threads(1), list[int](), time.monotonic()
        async with busy(threads):
            with pytest.raises(Overloaded):
                await call(threads, lambda: worked.append(1), soon(0.2))
            assert 0.15 < time.monotonic() - began < 5
        assert await call(threads, lambda: 7, soon(20)) == 7
        assert not worked

    asyncio.run(crowded())


def test_work_that_takes_longer_is_waited_for_no_more_and_keeps_its_thread() -> None:
    async def slow() -> None:
        threads, gate = Threads(1), threading.Event()
        with pytest.raises(TimeoutError):
            await threads.run(lambda: gate.wait(20), soon(0.1))
        with pytest.raises(Overloaded):
            await threads.run(lambda: 7, soon(0.1))
        gate.set()
        assert await threads.run(lambda: 7, soon(20)) == 7

    asyncio.run(slow())


def test_a_generator_learns_that_nobody_listens_between_its_pieces_too() -> None:
    resumed, heard = threading.Event(), threading.Event()

    def pieces(left: threading.Event) -> Generator[int, None, None]:
        yield 0
        resumed.set()
        if left.wait(10):
            heard.set()

    async def leaving() -> None:
        async with contextlib.aclosing(Threads(1).pieces(pieces, soon(20))) as found:
            await anext(found)
            assert await asyncio.to_thread(resumed.wait, 10)

    asyncio.run(leaving())
    assert heard.wait(5)


def test_no_more_may_wait_than_it_says() -> None:
    async def many() -> None:
        threads = Threads(2)
        async with busy(threads):
            waiting = [asyncio.ensure_future(threads.run(lambda i=i: i, soon(20))) for i in range(2 * WAITING)]
            await asyncio.sleep(0.05)
            with pytest.raises(Overloaded):
                await threads.run(lambda: 7, soon(20))
        assert await asyncio.gather(*waiting) == list(range(2 * WAITING))

    asyncio.run(many())


def test_what_work_raises_is_raised() -> None:
    def wrong() -> None:
        raise ValueError("thirteen")

    for call in (run, last_piece):
        with pytest.raises(ValueError, match="thirteen"):
            asyncio.run(call(Threads(1), wrong, soon(20)))
