"""Several processes that answer on one socket, and the one that watches over them."""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import ForkProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from socket import socket
from typing import Any

from prometheus_client import multiprocess, values

from motet.errors import MotetError, RunError
from motet.serve.metrics import SHARED

LOG = logging.getLogger("motet.serve")
THREADS = 3  # exit status of a process that cannot be copied: it has several threads
REFUSED = 2  # exit status of a worker that would fail again: the graph, the store or an option is wrong
LOOK = 0.1  # seconds between looks at the workers
SOON, LATEST = 0.1, 10.0  # seconds until a worker is started again: doubled each time that it ends early
EARLY = 10.0  # seconds; a worker that lived longer begins with SOON again
PATIENCE = 60.0  # seconds that workers have to finish
ENDS = (signal.SIGTERM, signal.SIGINT)
FORK = multiprocessing.get_context("fork")
BEGUN = "begun"  # a file that is there once a worker answers

Load = Callable[[], Any]
"""Makes what workers begin with: they share what they do not change of it."""

Work = Callable[..., None]
"""What a worker does. It is given what it begins with, None where it has to load that itself, and what to call once it
answers."""


@dataclass
class Place:
    """One worker after the other. again: when the next may start, as time.monotonic() tells it. refused: whether
    the last one said that it can never answer."""

    process: ForkProcess
    began: float = field(default_factory=time.monotonic)
    wait: float = SOON
    again: float = 0.0
    refused: bool = False


class Ended(BaseException):
    """A signal came before anybody was answered."""


class Ending:
    """Which signal told this process to end, if one did; a second one ends the workers at once."""

    def __init__(self) -> None:
        self.by: int | None = None
        self.hard = False
        self._at_once = False
        for number in ENDS:
            signal.signal(number, self._told)

    def _told(self, number: int, frame: Any) -> None:
        self.hard = self.by is not None
        self.by = self.by or number
        if self._at_once:
            raise Ended

    @contextlib.contextmanager
    def at_once(self) -> Generator[None]:
        """While a signal ends what is under way, with Ended."""
        self._at_once = True
        try:
            if self.by is not None:
                raise Ended
            yield
        finally:
            self._at_once = False


def supervise(workers: int, load: Load, work: Work, sock: socket, shared: Path, begun: Callable[[], None]) -> None:
    """Keeps so many workers at their work, answering on a socket, until a signal ends them all.

    shared: a folder of theirs. begun: called once the first of them answers.

    Errors: KeyboardInterrupt where SIGINT ended it; RunError where every worker says that it can never answer.
    """
    ending, places, said = Ending(), list[Place](), False
    try:
        with ending.at_once():
            work = partial(work, load() if copyable(load, sock) else None)
        gc.freeze()  # what is imported and loaded so far stays, and is shared
        places += [Place(_started(work, shared)) for _ in range(workers)]
        while ending.by is None:
            for place in places:
                _looked_after(place, work, shared)
            if not said and (said := (shared / BEGUN).exists()):
                begun()
            if all(place.refused for place in places):
                raise RunError("no worker can answer, and each says above why", help="correct that, and start again")
            time.sleep(LOOK)
    except Ended:
        pass  # nobody was answered yet
    finally:
        sock.close()
        _ended(multiprocessing.active_children(), ending)
    if ending.by == signal.SIGINT:
        raise KeyboardInterrupt


def copyable(load: Load, sock: socket) -> bool:
    """Whether a process that has loaded this may still be copied: it has one thread, for the copy has no other, and
    what that was about to do would never be done. A copy of this process tries it; why it fails is not said."""
    process = _copy(_try, load, sock)
    process.join()
    if process.exitcode == THREADS:
        LOG.warning("what answers starts threads as it is loaded, so that every worker loads its own")
    return process.exitcode == 0


def _try(load: Load, sock: socket) -> None:
    sock.close()
    own = len(os.listdir("/proc/self/task"))
    with contextlib.suppress(BaseException), Path(os.devnull).open("w") as nowhere:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            load()
        os._exit(THREADS if len(os.listdir("/proc/self/task")) > own else 0)
    os._exit(1)


def _started(work: Work, shared: Path) -> ForkProcess:
    """A worker begins as a copy of this process, which has loaded what it can, has one thread and computes nothing
    more: what neither of them changes they share."""
    return _copy(_work, work, shared)


def _copy(target: Callable[..., None], *given: Any) -> ForkProcess:
    process = FORK.Process(target=_apart, args=(os.getpid(), target, *given))
    # A signal that came before the copy has let go of this process' handlers would be lost.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _apart(supervisor: int, target: Callable[..., None], *given: Any) -> None:
    """What a copy does, in a group of its own: a Ctrl-C reaches it through its supervisor only, and ends with it."""
    os.setpgid(0, 0)
    for number in ENDS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    threading.Thread(target=_end_with, args=(supervisor,), daemon=True).start()
    target(*given)


def _work(work: Work, shared: Path) -> None:
    os.environ[SHARED] = str(shared)
    values.ValueClass = values.get_value_class()  # prometheus looked for the folder when it was imported
    try:
        work((shared / BEGUN).touch)
    except MotetError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(REFUSED)


def _end_with(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


def _looked_after(place: Place, work: Work, shared: Path) -> None:
    status, now = place.process.exitcode, time.monotonic()
    lived = now - place.began
    if status is None:
        place.refused = place.refused and lived < EARLY
        return
    if not place.again:
        place.refused = status == REFUSED
        place.wait = SOON if lived > EARLY else min(2 * place.wait, LATEST)
        place.again = now + place.wait
        # What it counted stays, what waited in it is gone.
        multiprocess.mark_process_dead(place.process.pid, str(shared))  # pyright: ignore[reportUnknownMemberType]
        LOG.error("a worker ended with status %d after %.0f s, another one starts in %.1f s", status, lived, place.wait)
    elif now >= place.again:
        place.process, place.began, place.again = _started(work, shared), now, 0.0


def _ended(processes: list[BaseProcess], ending: Ending) -> None:
    """Lets workers finish what is in flight."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + PATIENCE
    while any(process.exitcode is None for process in processes):
        if ending.hard or time.monotonic() > until:
            for process in processes:
                process.kill()
        time.sleep(LOOK / 4)
