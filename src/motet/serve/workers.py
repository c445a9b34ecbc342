"""Several processes that answer on one socket, and the one that watches over them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import multiprocess

from motet.errors import RunError
from motet.serve.metrics import SHARED

if TYPE_CHECKING:
    from motet.serve.process import Settings

LOG = logging.getLogger("motet.serve")
REFUSED = 2  # exit status of a worker that would fail again: the graph, the store or an option is wrong
LOOK = 0.1  # seconds between looks at the workers
SOON, LATEST = 0.1, 10.0  # seconds until a worker is started again: doubled each time that it ends early
EARLY = 10.0  # seconds; a worker that lived longer begins with SOON again
PATIENCE = 60.0  # seconds that workers have to finish


@dataclass
class Place:
    """One worker after the other. again: when the next may start, as time.monotonic() tells it. refused: whether
    the last one said that it can never answer."""

    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)
    wait: float = SOON
    again: float = 0.0
    refused: bool = False


class Ending:
    """Which signal told this process to end, if one did; a second one ends the workers at once."""

    def __init__(self) -> None:
        self.by: int | None = None
        self.hard = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)

    def _told(self, number: int, frame: Any) -> None:
        self.hard = self.by is not None
        self.by = self.by or number


def supervise(settings: Settings, sock: socket, shared: Path) -> None:
    """Keeps workers answering until a signal ends them all. shared: a folder of theirs.

    Errors: KeyboardInterrupt where SIGINT ended it; RunError where every worker says that it can never answer.
    """
    ending = Ending()
    places = [Place(_started(settings, sock, shared)) for _ in range(settings.workers)]
    try:
        while ending.by is None:
            for place in places:
                _looked_after(place, settings, sock, shared)
            if all(place.refused for place in places):
                raise RunError("no worker can answer, and each says above why", help="correct that, and start again")
            time.sleep(LOOK)
    finally:
        sock.close()
        _ended([place.process for place in places], ending)
    if ending.by == signal.SIGINT:
        raise KeyboardInterrupt


def _started(settings: Settings, sock: socket, shared: Path) -> subprocess.Popen[bytes]:
    """A worker in a group of its own, so that a Ctrl-C reaches it through this process only.

    What it is told comes through a pipe, whose end also tells it when this process is gone.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "motet.serve.worker", str(sock.fileno())],
        stdin=subprocess.PIPE,
        pass_fds=[sock.fileno()],
        process_group=0,
        env={**os.environ, SHARED: str(shared)},
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(asdict(settings)) + b"\n")
    process.stdin.flush()
    return process


def _looked_after(place: Place, settings: Settings, sock: socket, shared: Path) -> None:
    status, now = place.process.poll(), time.monotonic()
    lived = now - place.began
    if status is None:
        place.refused = place.refused and lived < EARLY
        return
    if not place.again:
        place.refused = status == REFUSED
        place.wait = SOON if lived > EARLY else min(2 * place.wait, LATEST)
        place.again = now + place.wait
        _gone(place.process, shared)
        LOG.error("a worker ended with status %d after %.0f s, another one starts in %.1f s", status, lived, place.wait)
    elif now >= place.again:
        place.process, place.began, place.again = _started(settings, sock, shared), now, 0.0


def _gone(process: subprocess.Popen[bytes], shared: Path) -> None:
    if process.stdin is not None:
        process.stdin.close()
    # What it counted stays, what waited in it is gone.
    multiprocess.mark_process_dead(process.pid, str(shared))  # pyright: ignore[reportUnknownMemberType]


def _ended(processes: list[subprocess.Popen[bytes]], ending: Ending) -> None:
    """Lets workers finish what is in flight."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + PATIENCE
    while any(process.poll() is None for process in processes):
        if ending.hard or time.monotonic() > until:
            for process in processes:
                process.kill()
        time.sleep(LOOK / 4)
    for process in processes:
        if process.stdin is not None:
            process.stdin.close()
