"""Where models run: in this process, or nowhere while everything is counted."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np

from motet.apply import Apply, Fit
from motet.batch import Array, Batch
from motet.cost import Cost
from motet.errors import MotetError, RunError
from motet.llm import Usage
from motet.llm.account import OPEN, Account
from motet.model import Model, State


class Runner(Protocol):
    """Does the work of the models; what it is asked to do is decided elsewhere."""

    def fit(self, node: Fit, batch: Batch, target: Any) -> State: ...
    def apply(self, node: Apply, state: State, batch: Batch) -> Any: ...


class Local:
    """Runs models in this process and meters each.

    spent: told (node, cost) after every call, with no rows where it failed; and once more, with no call in it, of
    tokens that were used after it, since what is cut off at its deadline goes on for a while.

    cpu: the clock of processor seconds. That of the process sees the threads that a model starts, and takes up to a
    millisecond to read on a busy machine; work of milliseconds is metered by time.perf_counter instead.
    """

    def __init__(
        self,
        spent: Callable[[Apply | Fit, Cost], None] = lambda node, cost: None,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._spent, self._cpu = spent, cpu

    def fit(self, node: Fit, batch: Batch, target: Any) -> State:
        return self._metered(node, batch.rows, lambda: node.model.fit(batch, target))

    def apply(self, node: Apply, state: State, batch: Batch) -> Any:
        value = self._metered(node, batch.rows, lambda: node.model.apply(state, batch))
        check_rows(node, value, batch.rows)
        return value

    def _metered(self, node: Apply | Fit, rows: int, work: Callable[[], Any]) -> Any:
        account, made = Account(), 0
        before = OPEN.set(account)
        wall, cpu = time.perf_counter(), self._cpu()
        try:
            value = work()
            made = rows
            return value
        except MotetError:
            raise
        except Exception as error:
            text = f"{node.label()} failed: {type(error).__name__}: {error}"
            raise RunError(text, help=_place(node.model, error)) from error
        finally:
            OPEN.reset(before)
            took = time.perf_counter() - wall, self._cpu() - cpu
            used = account.close(lambda later: self._spent(node, _read(later)))
            self._spent(node, Cost(1, made, *took) + _read(used))


def _read(usage: Usage) -> Cost:
    return Cost(tokens_in=usage.tokens_in, tokens_out=usage.tokens_out)


def _place(model: Model, error: Exception) -> str:
    """The line of the model's own file that failed, or else the one that raised the error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = getattr(sys.modules[type(model).__module__], "__file__", None)
    last = ([frame for frame in frames if frame.filename == own] or frames)[-1]
    return f"look at {last.filename}:{last.lineno}"


def check_rows(node: Apply, value: Any, rows: int) -> None:
    """A model that answers for other rows than it was asked for would put answers beside the wrong questions."""
    got = len(cast(Array, value)) if isinstance(value, np.ndarray) else None
    if got is not None and got != rows and node.grain:
        raise RunError(f"{node.label()} gave {got} rows for {rows}", help="return one value per row of the batch")
