"""One published version, ready to answer: asks in, answers out, a batch at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from motet import intake
from motet.answer import Answer, plain
from motet.apply import Apply, Fit, Within
from motet.batch import Array
from motet.cost import Cost
from motet.errors import GraphError
from motet.fitted import Fitted
from motet.node import Column, upstream
from motet.places import Place, places
from motet.record import Event
from motet.run.context import Batched
from motet.run.runner import Local

Row = Mapping[str, Any]


class Version:
    """A fitted graph with what its requests share. number: of the published version. late: what outputs wait for."""

    def __init__(self, fitted: Fitted, number: int) -> None:
        if fitted.outline.event is None:
            raise GraphError(
                f"{fitted.outline} is asked by no event, so there is nothing to serve",
                help="give it an output that depends on one: mt.retrieve(Film, k=10, by=[...])",
            )
        self.fitted, self.number, self.outline = fitted, number, fitted.outline
        self.context = fitted.live
        self.late = {n: found for n, c in self.outline.answered.items() if (found := _late(c))}

    @property
    def event(self) -> type[Event]:
        return self.outline.event

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Where an `otherwise` is declared."""
        return places(self.outline)

    def begin(self, rows: Sequence[Row], ends: float | None = None, cores: int = 1) -> Running:
        """A batch of asks. ends: when their time is over, as time.monotonic() tells it. cores: it may use so many."""
        run = self.context.asked(self.event, intake.asked(self.event, rows, self.context.entities()))
        run.ends, run.cores = ends, cores
        spending = Spending()
        run.runner = Local(spending.add, online=True)
        return Running(self, run, len(rows), spending)

    def rehearse(self, rows: Sequence[Row]) -> Running:
        """A batch of asks that nobody waits for: no budget pays for them, nor grows by them."""
        running = self.begin(rows)
        running.run.rehearsed = True
        return running

    def answer(self, rows: Sequence[Row]) -> list[Answer]:
        """All outputs of asks that nobody waits for, as those of a dry run."""
        running = self.rehearse(rows)
        early, late = running.early(), running.late()
        return [one | other for one, other in zip(early, late, strict=True)]


class Spent(NamedTuple):
    """What one call of a model took. ended: seconds since 1970."""

    node: Apply | Fit
    cost: Cost
    ended: float


class Spending:
    """What the models' calls for one batch took. Some end when it was answered long ago, and cost all the same."""

    def __init__(self) -> None:
        self._calls: list[Spent] = []
        self._later: Callable[[Spent], None] | None = None
        self._lock = threading.Lock()

    def add(self, node: Apply | Fit, cost: Cost) -> None:
        spent = Spent(node, cost, time.time())
        with self._lock:
            self._calls.append(spent)
            later = self._later
        if later is not None:
            later(spent)

    def read(self, later: Callable[[Spent], None] | None = None) -> list[Spent]:
        """The calls so far. later: told of each one from now on."""
        with self._lock:
            self._later = later or self._later
            return list(self._calls)


@dataclass(frozen=True)
class Running:
    """One batch on its way through the graph. spent: what its models' calls took so far."""

    version: Version
    run: Batched
    rows: int
    spent: Spending

    def early(self) -> list[Answer]:
        """What can be answered at once, per ask."""
        return self._outputs([name for name in self.version.outline.answered if name not in self.version.late])

    def late(self, rows: Sequence[int] | None = None) -> list[Answer]:
        """What waits for a late value, per ask (of some of them, where given): it blocks until that is there, or its
        time is over."""
        names = list(self.version.late)
        if rows is None or len(rows) == self.rows:
            return self._outputs(names)
        return self.run.part(np.array(rows), lambda part: replace(self, run=part, rows=len(rows))._outputs(names))

    def waits(self) -> list[int]:
        """The asks that a late value is asked for, by number: all others need not wait for any."""
        waits = np.zeros(self.rows, np.bool_)
        for within in chain.from_iterable(self.version.late.values()):
            waits |= within.wanted(self.run)
        return np.flatnonzero(waits).tolist()

    def hear(self, told: Callable[[int, Answer], None]) -> None:
        """Has late texts told while they are written: (row, output with its text so far)."""
        names: dict[str, str] = {}
        for name in self.version.late:
            node = self.version.outline.answered[name].node
            if isinstance(node, Within):
                names[node.late.fingerprint] = name

        def heard(column: Column, row: int, text: str) -> None:
            if column.fingerprint in names:
                told(row, {names[column.fingerprint]: text})

        self.run.heard = heard

    def answered_by(self, row: int) -> dict[str, str]:
        """Per place with an alternative: which of the two answered this ask."""
        without: dict[str, list[Array | None]] = {}
        for column, _, rows in self.run.fell:
            without.setdefault(column.fingerprint, []).append(rows)
        for node, _, rows in self.run.spared:  # by the place: elsewhere the same model may have been asked
            without.setdefault(node.fingerprint, []).append(rows)
        found: dict[str, str] = {}
        for place in self.version.places:
            masks = without.get(place.column.fingerprint, []) + without.get(place.at.fingerprint, [])
            found[place.name] = place.cheap if _concerns(masks, row) else place.strong
        return found

    def _outputs(self, names: list[str]) -> list[Answer]:
        columns = {name: plain(self.run, self.version.outline.answered[name]) for name in names}
        return [{name: values[i] for name, values in columns.items()} for i in range(self.rows)]


def _concerns(masks: list[Array | None], row: int) -> bool:
    return any(mask is None or bool(np.asarray(mask)[row]) for mask in masks)


def _late(column: Column) -> tuple[Within, ...]:
    """The late values that a column waits for."""
    return tuple(needed.node for needed in upstream((column,)) if isinstance(needed.node, Within))
