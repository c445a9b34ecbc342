"""Where models run: in this process, or nowhere while everything is counted."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import numpy as np

from motet.apply import Apply, Fit
from motet.batch import Array, Batch
from motet.clock import processor, wall
from motet.cost import Cost
from motet.errors import MotetError, RunError
from motet.llm import Usage
from motet.llm.account import OPEN, Account
from motet.memory import Peak, give_back
from motet.model import Model, State
from motet.raised import place
from motet.run.rows import Kept, Rows, blocks, keep
from motet.store.cells import Cells

T = TypeVar("T")
Spent: TypeAlias = Callable[[Apply | Fit, Cost], None]


class Runner(Protocol):
    """Does the work of the models; what it is asked to do is decided elsewhere."""

    def fit(self, node: Fit, batch: Batch, target: Any) -> tuple[State, Cost]:
        """What was learnt, and what that took."""
        ...

    def apply(self, node: Apply, state: State, batch: Batch) -> Any: ...

    def rows(self, node: Apply, rows: Rows, new: Array, cells: Cells) -> Iterator[Kept]:
        """Computes these rows, those numbered `new`, and keeps them block by block; told of each that is kept."""
        ...


class Place(Protocol):
    """Where a graph runs, if not in this process: `mt.Ray()`."""

    def runner(self, spent: Spent, store: Path) -> Runner:
        """Who does the models' work there. spent: told what each call took. store: its folder. Errors: there is
        nobody."""
        ...


class Local:
    """Runs models in this process and meters each.

    spent: told (node, cost) after every call, with no rows where it failed; and once more, with no call in it, of
    what a language model used after it, since what is cut off at its deadline goes on for a while.
    online: whether somebody waits. Work of milliseconds is metered by the wall clock alone: the processor's, which sees
    the threads that a model starts, takes up to a millisecond to read on a busy machine, and memory a tenth of one.
    """

    def __init__(self, spent: Spent = lambda node, cost: None, online: bool = False) -> None:
        self._spent, self._online = spent, online

    def fit(self, node: Fit, batch: Batch, target: Any) -> tuple[State, Cost]:
        give_back()  # what was worked with before would serve anew, unseen
        return self._metered(node, batch.rows, lambda: node.model.fit(batch, target))

    def apply(self, node: Apply, state: State, batch: Batch) -> Any:
        value, _ = self._metered(node, batch.rows, lambda: node.model.apply(state, batch))
        check_rows(node, value, batch.rows)
        return value

    def rows(self, node: Apply, rows: Rows, new: Array, cells: Cells) -> Iterator[Kept]:
        for block in blocks(new, node.model):
            yield keep(cells, rows.hashes[block], self.apply(node, rows.state, rows.batch(block)))

    def _metered(self, node: Apply | Fit, rows: int, work: Callable[[], T]) -> tuple[T, Cost]:
        account, made = Account(), 0
        peak = None if self._online else Peak()
        before = OPEN.set(account)
        began = self._clocks()
        try:
            value = work()
            made = rows
        except MotetError:
            raise
        except Exception as error:
            text = f"{node.label()} failed: {type(error).__name__}: {error}"
            raise RunError(text, help=_where(node.model, error)) from error
        finally:
            now = self._clocks()
            took = now[0] - began[0], now[1] - began[1]
            OPEN.reset(before)
            used = account.close(lambda more: self._spent(node, _read(more)))
            cost = Cost(1, made, *took, used.tokens_in, used.tokens_out, peak and peak.end(), used.gpu_seconds)
            self._spent(node, cost)
        return value, cost

    def _clocks(self) -> tuple[float, float]:
        now = wall()
        return now, now if self._online else processor()


def _read(usage: Usage) -> Cost:
    return Cost(tokens_in=usage.tokens_in, tokens_out=usage.tokens_out, gpu_seconds=usage.gpu_seconds)


def _where(model: Model, error: Exception) -> str:
    """The line of its author's that failed, or of the model's own file, or else the one that raised the error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = getattr(sys.modules[type(model).__module__], "__file__", None)
    last = ([frame for frame in frames if frame.filename == own] or frames)[-1]
    return place(error, f"look at {last.filename}:{last.lineno}")


def check_rows(node: Apply, value: Any, rows: int) -> None:
    """A model that answers for other rows than it was asked for would put answers beside the wrong questions."""
    got = len(cast(Array, value)) if isinstance(value, np.ndarray) else None
    if got is not None and got != rows and node.grain:
        raise RunError(f"{node.label()} gave {got} rows for {rows}", help="return one value per row of the batch")
