"""Whose tokens they are: what a language model reads and writes is charged to the call that it does it for.

A call's account is the one that is open in its thread, and the threads that work for it take it along: `carried(work)`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import ParamSpec, TypeVar

from motet.llm.client import Usage

NOTHING = Usage()

P = ParamSpec("P")
T = TypeVar("T")


class Account:
    """What was used so far. Threads may share it."""

    def __init__(self) -> None:
        self._usage, self._lock = NOTHING, Lock()
        self._later: Callable[[Usage], None] | None = None

    @property
    def usage(self) -> Usage:
        return self._usage

    def add(self, usage: Usage) -> None:
        with self._lock:
            if self._later is None:
                self._usage += usage
                return
        self._later(usage)

    def close(self, later: Callable[[Usage], None]) -> Usage:
        """What was used in all. later: told what is used from now on: work that nobody waits for any more goes on."""
        with self._lock:
            self._later = later
            return self._usage


OPEN: ContextVar[Account | None] = ContextVar("account", default=None)
"""The account of the call that this thread works for, None where it works for none."""


def charge(usage: Usage) -> None:
    """Adds to the account that is open here."""
    account = OPEN.get()
    if account is not None:
        account.add(usage)


@contextmanager
def uncharged() -> Generator[None]:
    """What is used here is charged to no call: a process asks for it once, whoever calls first."""
    before = OPEN.set(None)
    try:
        yield
    finally:
        OPEN.reset(before)


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """The same work, charged to the account that is open here, in whichever thread it is done."""
    account = OPEN.get()

    def charged(*args: P.args, **named: P.kwargs) -> T:
        before = OPEN.set(account)
        try:
            return work(*args, **named)
        finally:
            OPEN.reset(before)

    return charged
