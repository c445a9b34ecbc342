"""Where a column's value comes from. Nodes are immutable; what they are follows from their inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa

from motet.batch import Array, Batch, Pairs, Scores
from motet.errors import GraphError, RunError
from motet.model import NOTHING, Model, State, digest
from motet.search import Index

Grain: TypeAlias = frozenset[Any]  # the records that something exists once per combination of


class Run(Protocol):
    """What a node may ask of the evaluation that it is part of."""

    def value(self, column: Column) -> Any:
        """The column at its own grain: a whole entity table, or the asked batch of events."""
        ...

    def at(self, column: Column, pairs: Pairs) -> Any:
        """The column for each candidate of the asked batch."""
        ...

    def rows(self, grain: Grain) -> int: ...
    def field(self, record: type, name: str) -> Any: ...
    def history(self, value: Column, by: Column) -> Any: ...
    def index(self, items: Array) -> Index:
        """An approximate search index over item vectors, built once."""
        ...

    def state(self, fit: Fit) -> State: ...
    def apply(self, node: Apply, state: State, batch: Batch) -> Any: ...
    def in_time(self, column: Column, seconds: float) -> Any:
        """The column's value, None where it is not there in time."""
        ...

    def note(self, column: Column, problem: str) -> None:
        """Counts that the column could not be had, and why."""
        ...


@dataclass(frozen=True, eq=False)
class Node:
    """One step of a graph. Equal fingerprints mean equal values on equal data."""

    @property
    def inputs(self) -> tuple[Column, ...]:
        return ()

    @cached_property
    def grain(self) -> Grain:
        return union(self.inputs)

    @cached_property
    def after(self) -> frozenset[Any]:
        """The events whose outcome it reads, and so cannot be asked for before they are over."""
        return frozenset[Any]().union(*(c.after for c in self.inputs))

    @cached_property
    def among(self) -> frozenset[Column]:
        """The candidate sets that its rows are confined to."""
        return frozenset[Column]().union(*(c.node.among for c in self.inputs))

    @cached_property
    def fingerprint(self) -> str:
        return digest(type(self).__name__, self.config(), *(c.fingerprint for c in self.inputs))

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """The states that it reads directly."""
        return ()

    def config(self) -> str:
        """What, besides its inputs, decides its value."""
        return ""

    def label(self) -> str:
        """How it is made, for people."""
        raise NotImplementedError(type(self).__name__)

    def parts(self) -> list[tuple[str, Column]]:
        """The inputs that are parts of it rather than columns of their own, and what to call them beside its name."""
        return []

    def evaluate(self, run: Run) -> Any:
        """The value at the node's own grain."""
        raise NotImplementedError(type(self).__name__)

    def evaluate_at(self, run: Run, pairs: Pairs) -> Any:
        """The value for each of the given candidates; only for nodes that exist per candidate."""
        value = run.value(Column(self))
        if isinstance(value, (Scores, Pairs)):
            return value.at(pairs.requests, pairs.items)
        raise GraphError(f"{self.label()} has no value per candidate")


@dataclass(frozen=True, eq=False, repr=False)
class Column:
    """A typed, immutable handle on a value that exists once per row of its grain."""

    node: Node
    line: str = field(default="", compare=False)

    @classmethod
    def of(cls, node: Node) -> Self:
        return cls(node, caller())

    @property
    def grain(self) -> Grain:
        return self.node.grain

    @property
    def after(self) -> frozenset[Any]:
        return self.node.after

    @property
    def fingerprint(self) -> str:
        return self.node.fingerprint

    @property
    def kind(self) -> str:
        return type(self).__name__

    def __eq__(self, other: object) -> bool:
        """Whether both are the same column. For a column of comparisons: .equals(...)"""
        return isinstance(other, Column) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __bool__(self) -> bool:
        raise GraphError(
            f"{name_of(self)} has no value yet, so it is neither true nor false",
            help="combine conditions with & | ~, each in parentheses: (Film.year >= 1990) & (Film.year < 2000)",
        )

    def __repr__(self) -> str:
        return f"{self.kind}({self.node.label()} @ {grain_name(self.grain)})"

    def otherwise(self, other: Self) -> Self:
        """This column, and `other` where this one fails, is late or is not worth its cost."""
        check_fallback(self, other, same=isinstance(other, type(self)) or isinstance(self, type(other)))
        return type(self).of(Otherwise(self, other))


C = TypeVar("C", bound=Column)


def check_fallback(strong: Column, cheap: Column, same: bool) -> None:
    if not same:
        raise GraphError(
            f"{name_of(strong)} is a {strong.kind} and cannot fall back on {name_of(cheap)}, a {cheap.kind}",
            help=f"fall back on another {strong.kind}",
        )
    if not cheap.grain <= strong.grain:
        raise GraphError(
            f"{name_of(strong)} exists once per {grain_name(strong.grain)} and cannot fall back on"
            f" {name_of(cheap)}, which exists once per {grain_name(cheap.grain)}",
            help=f"fall back on a column of {grain_name(strong.grain)}",
        )


@dataclass(frozen=True)
class Whole:
    """An input that a model reads as a whole table, whatever the row it works on."""

    column: Column


@dataclass(frozen=True, eq=False)
class Fit(Node):
    """What a model learns, once per graph. Its target may be an outcome; its inputs may not."""

    model: Model
    args: Mapping[str, Column | Whole]
    target: Column | None = None
    chosen_among: Column | None = None
    requests: int | None = None

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (*columns_of(self.args), *_given(self.target), *_given(self.chosen_among))

    @cached_property
    def grain(self) -> Grain:
        return frozenset()

    @cached_property
    def after(self) -> frozenset[Any]:
        return frozenset()

    @cached_property
    def frame(self) -> Grain:
        """What it has one training row per."""
        return union((*aligned_of(self.args), *_given(self.target), *_given(self.chosen_among)))

    @cached_property
    def learns_outcomes(self) -> bool:
        """Whether its state depends on what happened, so that what is stacked on it needs other events."""
        return any(column.after for column in upstream(self.inputs))

    def config(self) -> str:
        return f"{self.model.identity()} {sorted(self.args)} {self.requests}"

    def label(self) -> str:
        return f"fitted {self.model}"


@dataclass(frozen=True, eq=False)
class Apply(Node):
    """A model's result. `chosen_among`: the candidates that it is confined to, where there are any."""

    model: Model
    args: Mapping[str, Column | Whole]
    fit: Fit | None = None
    chosen_among: Column | None = None

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (*columns_of(self.args), *_given(self.chosen_among))

    @cached_property
    def grain(self) -> Grain:
        return union((*aligned_of(self.args), *_given(self.chosen_among)))

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

    def parts(self) -> list[tuple[str, Column]]:
        made = [c for c in self.inputs if isinstance(c.node, Apply)]
        return [(type(c.node.model).__name__, c) for c in made if isinstance(c.node, Apply)]

    def config(self) -> str:
        marks = [f"{name}{'*' if isinstance(arg, Whole) else ''}" for name, arg in self.args.items()]
        return f"{self.model.identity()} {marks}"

    def label(self) -> str:
        names = ", ".join(name_of(c) for c in aligned_of(self.args))
        return f"{self.model}({names})"

    def evaluate(self, run: Run) -> Any:
        if self.model.crosses or not any(c.grain != self.grain and c.grain for c in aligned_of(self.args)):
            args = {name: run.value(column_of(arg)) for name, arg in self.args.items()}
            return run.apply(self, self._state(run), Batch(args, rows=run.rows(self.grain)))
        return PerPair(run, Column(self))

    def evaluate_at(self, run: Run, pairs: Pairs) -> Any:
        if self.model.crosses:
            return super().evaluate_at(run, pairs)
        args = {
            name: run.value(arg.column) if isinstance(arg, Whole) else run.at(arg, pairs)
            for name, arg in self.args.items()
        }
        return run.apply(self, self._state(run), Batch(args, rows=len(pairs.items), groups=pairs.offsets))

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
class Otherwise(Node):
    """The strong column, and the cheap one when the strong one cannot be had."""

    strong: Column
    cheap: Column

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.strong, self.cheap)

    @cached_property
    def among(self) -> frozenset[Column]:
        return self.strong.node.among

    def label(self) -> str:
        return f"{name_of(self.strong)} otherwise {name_of(self.cheap)}"

    def parts(self) -> list[tuple[str, Column]]:
        return [("", self.strong), ("otherwise", self.cheap)]

    def evaluate(self, run: Run) -> Any:
        try:
            return run.value(self.strong)
        except RunError as error:
            run.note(self.strong, str(error))
            return run.value(self.cheap)

    def evaluate_at(self, run: Run, pairs: Pairs) -> Any:
        try:
            return run.at(self.strong, pairs)
        except RunError as error:
            run.note(self.strong, str(error))
            return run.at(self.cheap, pairs)


@dataclass(frozen=True, eq=False)
class Within(Node):
    """A late value with its deadline, and what is answered when it is not there by then."""

    late: Column
    seconds: float
    cheap: Column | None
    text: str = ""

    @property
    def inputs(self) -> tuple[Column, ...]:
        return (self.late, *_given(self.cheap))

    def config(self) -> str:
        return f"{self.seconds} {self.text!r}"

    def label(self) -> str:
        otherwise = repr(self.text) if self.cheap is None else name_of(self.cheap)
        return f"{name_of(self.late)} within {self.seconds:g} s, otherwise {otherwise}"

    def parts(self) -> list[tuple[str, Column]]:
        return [("", self.late)]

    def evaluate(self, run: Run) -> Any:
        value = run.in_time(self.late, self.seconds)
        if value is not None:
            return value
        if self.cheap is not None:
            return run.value(self.cheap)
        return pa.array([self.text] * run.rows(self.grain), pa.large_string())


def columns_of(args: Mapping[str, Column | Whole]) -> tuple[Column, ...]:
    return tuple(column_of(arg) for arg in args.values())


def aligned_of(args: Mapping[str, Column | Whole]) -> tuple[Column, ...]:
    """The inputs that give the result its rows."""
    return tuple(arg for arg in args.values() if isinstance(arg, Column))


def column_of(arg: Column | Whole) -> Column:
    return arg.column if isinstance(arg, Whole) else arg


def _given(column: Column | None) -> tuple[Column, ...]:
    return () if column is None else (column,)


def union(columns: tuple[Column, ...]) -> Grain:
    return frozenset[Any]().union(*(c.grain for c in columns))


def event_of(grain: Grain) -> Any:
    """The event of a grain, None where there is none."""
    return next((r for r in grain if r.is_event), None)


def item_of(grain: Grain) -> Any:
    """The entity of a grain, None where there is none."""
    return next((r for r in grain if not r.is_event), None)


def grain_name(grain: Grain) -> str:
    names = sorted(grain, key=lambda r: (not r.is_event, r.__name__))
    return "{" + ", ".join(r.__name__ for r in names) + "}"


def upstream(columns: tuple[Column, ...]) -> Iterator[Column]:
    """Every column that these need, inputs before what reads them, each once."""
    seen: set[str] = set()

    def visit(column: Column) -> Iterator[Column]:
        if column.fingerprint in seen:
            return
        seen.add(column.fingerprint)
        for fit in column.node.fits:
            for needed in fit.inputs:
                yield from visit(needed)
        for needed in column.node.inputs:
            yield from visit(needed)
        yield column

    for column in columns:
        yield from visit(column)


_HERE = str(Path(__file__).parent)


def caller() -> str:
    """The file and line outside Motet that is building the graph."""
    frame: Any = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""


def name_of(column: Column) -> str:
    """What the graph's author calls the column: its variable, else how it is made."""
    frame: Any = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    while frame is not None:
        for name, value in frame.f_locals.items():
            if name.isidentifier() and name[0] != "_" and isinstance(value, Column) and value == column:
                return name
        frame = frame.f_back if frame.f_code.co_name != "<module>" else None
    return column.node.label()
