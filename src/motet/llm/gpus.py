"""How much of an endpoint's GPUs each call takes: the calls of one time share that time evenly."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from motet.llm.client import Usage

if TYPE_CHECKING:
    from motet.llm import LLM


class Shared:
    """A clock of which every call sees its share: two at once see half a second pass in a second. Safe in threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._lock = now, threading.Lock()
        self._calls, self._share, self._seen = 0, 0.0, 0.0

    def enter(self) -> float:
        """A call begins. What the clock shows."""
        with self._lock:
            self._pass()
            self._calls += 1
            return self._share

    def leave(self, entered: float) -> float:
        """A call ends that began when the clock showed `entered`. Its share, in seconds."""
        with self._lock:
            self._pass()
            self._calls -= 1
            return self._share - entered

    def _pass(self) -> None:
        now = self._now()
        if self._calls:
            self._share += (now - self._seen) / self._calls
        self._seen = now


@contextmanager
def held(llm: LLM, charge: Callable[[Usage], None]) -> Generator[None]:
    """While the endpoint works for one call. charge: told the call's share of its GPUs."""
    clock = _clock(llm, os.getpid())
    entered = clock.enter()
    try:
        yield
    finally:
        share = clock.leave(entered)
        if llm.gpus:
            charge(Usage(gpu_seconds=llm.gpus * share))


@lru_cache(maxsize=64)
def _clock(llm: LLM, process: int) -> Shared:
    # `process`: a forked child counts calls of its own.
    return Shared()
