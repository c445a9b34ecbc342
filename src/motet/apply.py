"""What a model is fitted on and applied to: the nodes that do a model's work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from motet.batch import Array, Pairs, concat, take
from motet.model import NOTHING, Model, State, digest
from motet.node import Column, Grain, Node, Run, event_of, given, item_of, name_of, union, upstream


@dataclass(frozen=True)
class Whole:
    """An input that a model reads as a whole table, whatever the row it works on."""

    column: Column


@dataclass(frozen=True, eq=False)
class Said(Node):
    """What a teacher says of an event, as something to learn. Each event is put to it once: costly rows are kept."""

    teacher: Column

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.teacher,)

    def label(self) -> str:
        return f"what {name_of(self.teacher)} says"

    def parts(self) -> list[tuple[str, Column]]:
        return [("", self.teacher)]

    def evaluate(self, run: Run) -> Any:
        return run.kept(self.teacher)


@dataclass(frozen=True, eq=False)
class Fit(Node):
    """What a model learns, once per graph. Its target may be an outcome, or what a teacher says; its inputs may not.

    requests: at most so many past requests are learnt from, drawn at random.
    """

    model: Model
    args: Mapping[str, Column | Whole]
    target: Column | None = None
    chosen_among: Column | None = None
    requests: int | None = None

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (*columns_of(self.args), *given(self.target), *given(self.chosen_among), *given(self.happened))

    @cached_property
    def happened(self) -> Column | None:
        """The outcome that says which candidate it was, where the target is asked of candidates."""
        if self.chosen_among is None or self.target is None:
            return None
        grain = self.chosen_among.grain
        return event_of(grain).happened(item_of(grain))

    @cached_property
    def grain(self) -> Grain:
        return frozenset()

    @cached_property
    def after(self) -> frozenset[Any]:
        return frozenset()

    @cached_property
    def frame(self) -> Grain:
        """What it has one training row per."""
        return union((*aligned_of(self.args), *given(self.target), *given(self.chosen_among)))

    @property
    def teacher(self) -> Column | None:
        """Whose answers it learns, where it is not fitted to what came."""
        return self.target.node.teacher if self.target is not None and isinstance(self.target.node, Said) else None

    @property
    def features(self) -> tuple[Column, ...]:
        """What it learns from, without what it learns."""
        return (*columns_of(self.args), *given(self.chosen_among))

    @cached_property
    def learns_outcomes(self) -> bool:
        """Whether its state depends on what happened, so that what is stacked on it needs other events."""
        return any(column.after for column in upstream(self.inputs))

    def config(self) -> str:
        asked = [self.target is not None, self.chosen_among is not None]
        return f"{self.model.identity()} {_marks(self.args)} {asked} {self.requests}"

    def label(self) -> str:
        return f"fitted {self.model}"


@dataclass(frozen=True, eq=False)
class Apply(Node):
    """A model's result.

    chosen_among: the candidates that it is confined to, where there are any. held_against: the outcome that an
    evaluation compares it with where it was fitted to none, or to what a teacher says; it changes no value, so it is
    no part of what this is.
    """

    model: Model
    args: Mapping[str, Column | Whole]
    fit: Fit | None = None
    chosen_among: Column | None = None
    held_against: Column | None = None

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (*columns_of(self.args), *given(self.chosen_among))

    @cached_property
    def grain(self) -> Grain:
        return union((*aligned_of(self.args), *given(self.chosen_among)))

    @cached_property
    def among(self) -> frozenset[Column]:
        if self.chosen_among is not None:
            return self.chosen_among.node.among
        return frozenset[Column]().union(*(c.node.among for c in aligned_of(self.args)))

    @cached_property
    def fingerprint(self) -> str:
        learnt = self.fit.fingerprint if self.fit else ""
        return digest("Apply", self.config(), learnt, *(c.fingerprint for c in self.inputs))

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        return (self.fit,) if self.fit else ()

    @property
    def outcome(self) -> Column | None:
        """What it is to say, where anything tells: what it was fitted to, or what it is held against. What a teacher
        says is no outcome."""
        fit = self.fit
        return self.held_against if fit is None or fit.target is None or fit.teacher is not None else fit.target

    def parts(self) -> list[tuple[str, Column]]:
        made = [c for c in self.inputs if isinstance(c.node, Apply)]
        return [(type(c.node.model).__name__, c) for c in made if isinstance(c.node, Apply)]

    def config(self) -> str:
        return f"{self.model.identity()} {_marks(self.args)} {self.chosen_among is not None}"

    def label(self) -> str:
        names = ", ".join(name_of(c) for c in aligned_of(self.args))
        return f"{self.model}({names})"

    @cached_property
    def _by_pair(self) -> bool:
        """Whether its inputs are of several grains, so that only pairs of them have a value."""
        return not self.model.crosses and any(c.grain != self.grain and c.grain for c in aligned_of(self.args))

    def evaluate(self, run: Run) -> Any:
        if not self._by_pair:
            args = {name: run.value(column_of(arg)) for name, arg in self.args.items()}
            return run.apply(self, self._state(run), args, run.rows(self.grain))
        return PerPair(run, Column(self))

    def evaluate_at(self, run: Run, pairs: Pairs) -> Any:
        if self.model.crosses:
            return super().evaluate_at(run, pairs)
        args = {
            name: run.value(arg.column) if isinstance(arg, Whole) else run.at(arg, pairs)
            for name, arg in self.args.items()
        }
        return run.apply(self, self._state(run), args, len(pairs.items), pairs.offsets)

    def _state(self, run: Run) -> State:
        return run.state(self.fit) if self.fit else NOTHING


@dataclass(frozen=True)
class PerPair:
    """Scores of a column that can only be computed pair by pair: every request with every item."""

    run: Run
    column: Column

    @property
    def shape(self) -> tuple[int, int]:
        event, item = event_of(self.column.grain), item_of(self.column.grain)
        return self.run.rows(frozenset({event})), self.run.rows(frozenset({item}))

    def dense(self, requests: slice) -> Array:
        n, m = self.shape
        rows = np.arange(n)[requests]
        sizes = np.zeros(n, np.int64)
        sizes[rows] = m
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        items = np.tile(np.arange(m, dtype=np.int32), len(rows))
        pairs = Pairs(offsets, items, np.zeros(len(items), np.float32))
        return np.asarray(self.run.at(self.column, pairs), np.float32).reshape(len(rows), m)

    def at(self, requests: Array, items: Array) -> Array:
        order = np.argsort(requests, kind="stable")
        sizes = np.bincount(requests, minlength=self.shape[0])
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        sorted_pairs = Pairs(offsets, items[order], np.zeros(len(items), np.float32))
        values = np.empty(len(items), np.float32)
        values[order] = self.run.at(self.column, sorted_pairs)
        return values


@dataclass(frozen=True, eq=False)
class Pick(Node):
    """One field of what a model filled in."""

    filled: Column
    name: str

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.filled,)

    @property
    def outcome(self) -> Column | None:
        return self.filled.node.outcome

    def config(self) -> str:
        return self.name

    def label(self) -> str:
        return f"{self.filled.node.label()}.{self.name}"

    def parts(self) -> list[tuple[str, Column]]:
        return [("", self.filled)]

    def evaluate(self, run: Run) -> Any:
        return run.value(self.filled)[self.name]

    def evaluate_at(self, run: Run, pairs: Pairs) -> Any:
        return run.at(self.filled, pairs)[self.name]


@dataclass(frozen=True, eq=False)
class Within(Node):
    """A late value with its deadline, and what is answered when it is not there by then, missing, or not asked for.

    where: for which requests it is asked for; None: for all.
    """

    late: Column
    seconds: float
    cheap: Column | None
    text: str = ""
    where: Column | None = None

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.late, *given(self.cheap), *given(self.where))

    def config(self) -> str:
        return f"{self.seconds} {self.text!r}{'' if self.where is None else ' where'}"

    def label(self) -> str:
        otherwise = repr(self.text) if self.cheap is None else name_of(self.cheap)
        where = "" if self.where is None else f" where {name_of(self.where)}"
        return f"{name_of(self.late)} within {self.seconds:g} s{where}, otherwise {otherwise}"

    def parts(self) -> list[tuple[str, Column]]:
        return [("", self.late)]

    def wanted(self, run: Run) -> Array:
        """The requests for which it is asked for, bool [n]."""
        rows = run.rows(self.grain)
        return np.ones(rows, np.bool_) if self.where is None else np.broadcast_to(run.value(self.where) == 1, rows)

    def evaluate(self, run: Run) -> Any:
        wanted = self.wanted(run)
        if not wanted.all():
            run.spare(self, self.late, ~wanted)
        asked = np.flatnonzero(wanted)
        value = run.in_time(self.late, self.seconds, None if wanted.all() else asked) if len(asked) else None
        if value is None:
            return self._instead(run)
        there = np.asarray(value.is_valid())
        if not there.all():
            run.note(self.late, "nothing came of it", np.isin(np.arange(len(wanted)), asked[~there]))
        elif wanted.all():
            return value
        order = np.arange(len(wanted))
        order[asked[there]] = len(wanted) + np.flatnonzero(there)
        return take(concat([self._instead(run), value]), order)

    def _instead(self, run: Run) -> Any:
        """What is answered without it, a row per request."""
        if self.cheap is not None:
            return run.value(self.cheap)
        return pa.array([self.text] * run.rows(self.grain), pa.large_string())


def _marks(args: Mapping[str, Column | Whole]) -> list[str]:
    """The arguments in order, those read as a whole marked."""
    return [f"{name}{'*' if isinstance(arg, Whole) else ''}" for name, arg in args.items()]


def columns_of(args: Mapping[str, Column | Whole]) -> tuple[Column, ...]:
    return tuple(column_of(arg) for arg in args.values())


def aligned_of(args: Mapping[str, Column | Whole]) -> tuple[Column, ...]:
    """The inputs that give the result its rows."""
    return tuple(arg for arg in args.values() if isinstance(arg, Column))


def column_of(arg: Column | Whole) -> Column:
    return arg.column if isinstance(arg, Whole) else arg
