"""The clocks that work is metered by. They stand still while the process loads what it loads once."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any


class Clock:
    """A clock that can be stopped; it goes on from where it stood."""

    def __init__(self, running: Callable[[], float]) -> None:
        self._running, self._behind = running, 0.0
        self._stopped: float | None = None

    def __call__(self) -> float:
        stopped = self._stopped
        return self._running() - self._behind if stopped is None else stopped

    def stop(self) -> None:
        self._stopped = self()

    def go_on(self) -> None:
        assert self._stopped is not None
        self._behind, self._stopped = self._running() - self._stopped, None


wall, processor = Clock(time.perf_counter), Clock(time.process_time)
"""Seconds, and seconds of this process's cores."""

_lock = Lock()
_loading = 0  # how many load at this moment, one inside the other or beside it


@contextmanager
def once() -> Generator[None]:
    """Loads what a process loads once: a library, weights, a session. That is in the cost of no call and of no fit.

    Whoever works at the same time is not metered meanwhile either.
    """
    global _loading
    with _lock:
        if not _loading:
            wall.stop()
            processor.stop()
        _loading += 1
    try:
        yield
    finally:
        with _lock:
            _loading -= 1
            if not _loading:
                wall.go_on()
                processor.go_on()


@cache
@once()
def library(name: str) -> Any:
    """A library that only some models need, loaded when the first of them works."""
    return importlib.import_module(name)
