"""Costly rows on Ray: actors that load a model once, compute blocks and commit each before they say so.

A killed worker's block goes to another one, which looks first whether it was committed. Only block numbers and what
became of them pass through Ray Data; the values lie in Ray's object store, which workers of a node share.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from motet.apply import Apply
from motet.batch import Array
from motet.errors import MotetError, RunError
from motet.model import Model
from motet.run.ray.cluster import SHARED, failed, shared
from motet.run.ray.config import Ray
from motet.run.ray.part import Metered, Part, Sent
from motet.run.rows import Keeps, Kept, Rows, keep
from motet.run.runner import Spent
from motet.store.blocks import Blocks
from motet.store.cells import Cells

EACH = 2  # blocks that a worker has at least, where there are rows enough: the last one is waited for by all
TRIES = 4  # deaths of a worker at one block after which it is taken to be the block's doing


@dataclass(frozen=True)
class Task:
    """All that a worker needs. blocks: which rows each block has. place: a folder of cells, or an address
    of blocks. run: what this work is called. tries: how often a block may be
    begun."""

    part: Part
    rows: Rows
    blocks: Sequence[Array]
    place: str
    column: str | None
    run: str
    tries: int

    def cells(self) -> Keeps:
        return Cells(Path(self.place)) if self.column is None else Blocks(self.place, self.column)


@dataclass(frozen=True)
class Done:
    """What became of a block. error: why nothing did."""

    kept: Kept
    costs: Sequence[Any] = ()
    error: MotetError | None = None


class Worker:
    """An actor of Ray Data: it opens the model at its first block, and keeps it."""

    def __init__(self, sent: Sent) -> None:
        self._sent = sent
        self._opened: tuple[Task, Keeps] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        return {"done": [self._done(int(number)) for number in batch["item"]]}

    def _done(self, number: int) -> Done:
        metered = Metered()
        try:
            if self._opened is None:
                task = cast(Task, self._sent.opened())
                self._opened = task, task.cells()
        except MotetError as error:
            return Done(Kept(0), error=error)
        task, cells = self._opened
        block = task.blocks[number]
        block = block[~cells.known(task.rows.hashes[block])]
        if _begun(task.run, number) > task.tries:
            return Done(Kept(0), error=_deadly(task))
        if not len(block):  # a worker that was killed had committed it, and could not say so
            return Done(Kept(len(task.blocks[number])))
        try:
            made = metered.apply(task.part, task.rows.state, task.rows.batch(block))
            return Done(keep(cells, task.rows.hashes[block], made), metered.costs)
        except MotetError as error:
            return Done(Kept(0), metered.costs, error)


def computed(ray: Any, on: Ray, spent: Spent, node: Apply, rows: Rows, new: Array, cells: Cells) -> Iterator[Kept]:
    """Computes rows with the workers, and tells of each block that is kept, in whichever order they come."""
    staged = Blocks(on.blocks, cells.folder.name) if on.blocks else None
    if staged is not None:
        staged.delete(list(staged.taken(cells)))  # what a run before this one has left there
        before, new = len(new), new[~cells.known(rows.hashes[new])]
        if before > len(new):
            yield Kept(before - len(new))
    if not len(new):
        return
    place = on.blocks or str(_shared(ray, cells.folder))
    blocks = _blocks(new, node.model, on.workers)
    column, run = cells.folder.name if on.blocks else None, secrets.token_hex(8)
    task = Task(Part.of(node), rows, blocks, place, column, run, TRIES)
    try:
        for done in _results(ray, on, task):
            for cost in done.costs:
                spent(node, cost)
            if done.error is not None:
                raise done.error
            yield done.kept
    finally:
        if staged is not None:
            staged.delete(list(staged.taken(cells)))


def _results(ray: Any, on: Ray, task: Task) -> Iterator[Done]:
    import ray.data as package

    data: Any = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray sets fields of its own that it has deprecated
        context: Any = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    sent = Sent.of(ray, task)
    numbers: Any = data.from_items(list(range(len(task.blocks))), override_num_blocks=len(task.blocks))
    workers = min(on.workers, len(task.blocks))
    made = numbers.map_batches(
        Worker,
        batch_size=1,
        batch_format="numpy",
        fn_constructor_args=(sent,),
        compute=data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
        num_cpus=on.cpus,
        memory=None if on.memory_gb is None else on.memory_gb * 2**30,
    )
    try:
        for row in made.iter_rows():
            yield row["done"]
    except ray.exceptions.RayError as error:
        raise failed(error, task.part.label()) from error
    finally:
        _forget(task.run)


def _begun(run: str, number: int) -> int:
    """Counts how often a block was begun, where the death of a worker or of a node forgets nothing."""
    from ray.experimental import internal_kv

    kept: Any = internal_kv
    name = f"motet:{run}:{number}".encode()
    times = int(kept._internal_kv_get(name) or 0) + 1
    kept._internal_kv_put(name, str(times).encode(), overwrite=True)
    return times


def _forget(run: str) -> None:
    from ray.experimental import internal_kv

    cast(Any, internal_kv)._internal_kv_del(f"motet:{run}:".encode(), del_by_prefix=True)


def _deadly(task: Task) -> RunError:
    return RunError(
        f"{task.part.label()}: a worker died {task.tries} times at the same rows",
        help="most likely its memory: fewer workers a node, or mt.Ray(memory_gb=...) for as much as it takes",
    )


def _blocks(new: Array, model: Model, workers: int) -> list[Array]:
    """As many rows each as the model wants, or fewer, so that all workers have some."""
    size = max(1, min(model.block(), -(-len(new) // (EACH * workers))))
    return [new[start : start + size] for start in range(0, len(new), size)]


def _shared(ray: Any, folder: Path) -> Path:
    """A folder that all nodes share. Errors: one of them does not have it."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    shared(ray, folder, f'{SHARED}, or mt.Ray(blocks="s3://bucket/folder")')
    return folder
