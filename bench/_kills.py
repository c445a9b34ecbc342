"""Kills what works on a prepare on Ray, in its middle, and counts what that cost. It is no benchmark itself."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import motet as mt
from motet.batch import Array, Batch
from motet.store.cells import row_hashes

ROWS = 80


class Text(mt.Entity):
    number: mt.Key
    text: mt.Text


@dataclass(frozen=True)
class Slow(mt.Model):
    """Takes a while for each row and writes down when it began which, and where. Told to, it ends its own actor, or
    begins no row: so that what is to be killed has not ended meanwhile, on a slow machine."""

    log: str
    seconds: float = 0.02

    costly: ClassVar[bool] = True

    def __call__(self, text: mt.Text) -> mt.Number:
        return mt.column(mt.Number, self, text=text)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        texts = batch["text"].to_pylist()
        for text in texts:
            while Path(f"{self.log}.hold").exists() and not Path(f"{self.log}.end").exists():
                time.sleep(0.005)
            with suppress(FileNotFoundError):
                Path(f"{self.log}.end").unlink()
                _end_actor()
            with open(self.log, "a") as file:
                file.write(f"{text} {time.time_ns()} {os.getpid()}\n")
            time.sleep(self.seconds)
        return np.array([float(text) for text in texts])

    def block(self) -> int:
        return 4


def _end_actor() -> None:
    import ray

    kept: Any = ray
    kept.kill(kept.get_runtime_context().current_actor, no_restart=False)
    time.sleep(60)


@dataclass
class Seen:
    """What a run has cost. computed: how often rows were begun. processes: that worked; where another has taken over
    before the killed one is back, no more than there were. left: rows that were not committed when it was killed.

    lost, repeated: rows that were committed and are gone, or were begun again after they had been committed.
    """

    computed: int
    processes: int
    left: int
    lost: int
    repeated: int
    right: bool


def killed(folder: Path, on: mt.Ray, kill: Callable[[list[int], Path], None], rows: int = ROWS) -> Seen:
    """One prepare, in whose middle something is killed. kill: given the processes that work, and the log."""
    log, hold = folder / "log", folder / "log.hold"
    log.touch()
    column = Slow(str(log))(Text.text)
    graph = mt.Graph(value=column)
    data = mt.Data({Text: [{"number": i, "text": str(i)} for i in range(rows)]})
    fitted = graph.fit(data, store=folder / "store", quiet=True)
    context = fitted.context(data)
    made = context.made(column)
    cells, hashes = context.store.cells(made), row_hashes(made, [context.shared(Text.text)])
    committed, over = np.full(rows, np.iinfo(np.int64).max), threading.Event()

    def work() -> None:
        fitted.prepare(on=on)
        over.set()

    working, until, struck, left = threading.Thread(target=work), random.uniform(0.1, 0.5), False, 0
    working.start()
    while working.is_alive():
        known = cells.known(hashes)
        committed[known & (committed > time.time_ns())] = time.time_ns()
        if not struck and known.mean() >= until:
            struck = True
            time.sleep(random.uniform(0, 0.05))
            hold.touch()
            kill(sorted({int(line.split()[2]) for line in log.read_text().splitlines()}), log)
            left = int((~cells.known(hashes)).sum())
            hold.unlink()
        time.sleep(0.002)
    if not (struck and over.is_set()):
        raise RuntimeError("nothing was killed, or the prepare failed")
    begun = [(int(text), int(at)) for text, at, _ in map(str.split, log.read_text().splitlines())]
    known = cells.known(hashes)
    values = np.asarray(fitted.context(data, fitted.prepared).shared(column))
    return Seen(
        len(begun),
        len({line.split()[2] for line in log.read_text().splitlines()}),
        left,
        int((~known & (committed < time.time_ns())).sum()),
        sum(bool(at > committed[row]) for row, at in begun),
        bool(np.array_equal(values, np.arange(float(rows)))),
    )


def a_worker(pids: list[int], log: Path) -> None:
    with suppress(ProcessLookupError):
        os.kill(random.choice(pids), signal.SIGKILL)


def an_actor(pids: list[int], log: Path) -> None:
    log.with_name("log.end").touch()


def a_node(cluster: Any) -> Callable[[list[int], Path], None]:
    """Takes a whole node away, and gives another one."""

    def kill(pids: list[int], log: Path) -> None:
        cluster.remove_node(random.choice(list(cluster.worker_nodes)), allow_graceful=False)
        cluster.add_node(num_cpus=1)

    return kill
