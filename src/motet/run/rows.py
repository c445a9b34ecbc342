"""Costly rows: what computes them is given all of them at once, and keeps each block as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from motet.batch import Array, Batch, Value, take
from motet.model import Model, State


class Keeps(Protocol):
    """Where rows are kept for good: `Cells`, or `Blocks` that a store takes in later."""

    def known(self, hashes: Array) -> Array: ...

    def add(self, hashes: Array, value: Value, problems: Sequence[str | None] | None = None) -> None: ...


@dataclass(frozen=True)
class Rows:
    """What all rows of a column are made from. aligned: the arguments that differ from row to row."""

    state: State
    args: Mapping[str, Any]
    aligned: Sequence[str]
    hashes: Array

    def batch(self, rows: Array) -> Batch:
        args = {name: take(value, rows) if name in self.aligned else value for name, value in self.args.items()}
        return Batch(args, rows=len(rows))


@dataclass(frozen=True)
class Kept:
    """One block that is done. passing: the problems of rows that may be gone at the next try, which were not kept."""

    rows: int
    passing: Sequence[str] = ()


def keep(cells: Keeps, hashes: Array, made: Any) -> Kept:
    """Keeps rows for good, but for those whose problem may be gone at the next try: they are tried again."""
    problems: Sequence[str | None] = getattr(made, "problems", (None,) * len(hashes))
    passing: Sequence[bool] = getattr(made, "passing", (False,) * len(hashes))
    stays = [i for i, again in enumerate(passing) if not again]
    cells.add(hashes[stays], take(made, np.array(stays, np.int64)), [problems[i] for i in stays])
    return Kept(len(hashes), [str(problem) for problem, again in zip(problems, passing, strict=True) if again])


def blocks(rows: Array, model: Model) -> Iterator[Array]:
    """As many rows at a time as the model wants; it is not asked where there is nothing to compute."""
    while len(rows):
        size = model.block()
        yield rows[:size]
        rows = rows[size:]
