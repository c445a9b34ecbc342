"""Where a column's value comes from. Nodes are immutable; what they are follows from their inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeVar

from motet.batch import Array, Pairs, is_scores
from motet.errors import GraphError
from motet.lacking import lacking
from motet.model import State, digest
from motet.scan import Scan
from motet.search import Index
from motet.worded import worded

Grain: TypeAlias = frozenset[Any]  # the records that something exists once per combination of


class Run(Protocol):
    """What a node may ask of the evaluation that it is part of."""

    def value(self, column: Column) -> Any:
        """The column at its own grain: a whole entity table, or the asked batch of events."""
        ...

    def at(self, column: Column, pairs: Pairs) -> Any:
        """The column for each candidate of the asked batch."""
        ...

    def kept(self, column: Column) -> Any:
        """The column's value; of what is costly below it, only rows that the store does not have are computed, and are
        kept there."""
        ...

    def rows(self, grain: Grain) -> int: ...
    def field(self, record: type, name: str) -> Any: ...
    def missing(self, kind: type[Column], grain: Grain, rows: int = 0) -> Any:
        """The kind's missing value for all rows of a grain; of none, for so many rows."""
        ...

    def history(self, value: Column, by: Column) -> Any: ...
    def index(self, items: Array) -> Index | Scan:
        """What searches item vectors, made once: approximately where they are many."""
        ...

    def state(self, fit: Any) -> State: ...
    def apply(self, node: Any, state: State, columns: Mapping[str, Any], rows: int, groups: Array | None = None) -> Any:
        """What a node's model gives for these columns, one value a row. groups: offsets per request, of candidates."""
        ...

    def in_time(self, column: Column, seconds: float, rows: Array | None = None) -> Any:
        """The column's value (for some of the asked requests, where given), None where it is not there in time."""
        ...

    def tried(self, column: Column, pairs: Pairs | None = None) -> Any:
        """The column's value (for the candidates, where given), None where it fails or the requests' time is over."""
        ...

    def some(self, column: Column, rows: Array) -> Any:
        """The column for some of the asked requests only, None where it fails or their time is over."""
        ...

    def granted(self, node: Node, ranks: Array, worth: Array, budget: float) -> Array:
        """The requests that a node may spend on: of those worth it the first by rank, and at most a share of all."""
        ...

    def spare(self, node: Node, strong: Column, rows: Array) -> None:
        """Says which requests, bool [n], a node has spared its strong or late column, by choice."""
        ...

    def note(self, column: Column, problem: str, rows: Array | None = None) -> None:
        """Counts that the column could not be had, and why. rows: bool per request, None for all of them."""
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
    def asked_by(self) -> Any:
        """The event that it exists once per, None where it is there before any event."""
        return event_of(self.grain)

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
    def fits(self) -> tuple[Node, ...]:
        """The states that it reads directly."""
        return ()

    @property
    def outcome(self) -> Column | None:
        """What its value is to say, where an outcome will tell."""
        return None

    @property
    def holds(self) -> Any:
        """The entity that its sequences refer to, where they refer to one."""
        return None

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
        if isinstance(value, Pairs) or is_scores(value):
            return value.at(pairs.requests, pairs.items)
        raise GraphError(f"{self.label()} has no value per candidate", help="define evaluate_at in its node")


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

    if not TYPE_CHECKING:  # a type checker sees what each kind of column has

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or hasattr(type(self), name) or not vars(self):
                return object.__getattribute__(self, name)  # raises what it raises
            raise lacking(name_of(self), getattr(self.node, "name", "name"), type(self), Column, name)

    @worded(lambda column: f"{name_of(column)}.otherwise")
    def otherwise(self, other: Self | None) -> Self:
        """This column, and `other` where this one fails, is late or is not worth its cost. None: a missing value."""
        if other is None:
            return type(self).of(Otherwise(self, type(self)(Missing(type(self), self.grain))))
        check_fallback(self, other, same=isinstance(other, type(self)) or isinstance(self, type(other)))
        return type(self).of(Otherwise(self, other))


C = TypeVar("C", bound=Column)


def check_fallback(strong: Column, cheap: Column, same: bool) -> None:
    if not isinstance(cheap, Column):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise GraphError(
            f"{name_of(strong)} falls back on a column or on None, and {cheap!r} is neither",
            help=f"give another {strong.kind}, or None for a missing value",
        )
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


def check_outcomes(first: Column, other: Column) -> None:
    """Errors: they are to say different outcomes, so that nothing tells which of them is better."""
    said, another = first.node.outcome, other.node.outcome
    if said is not None and another is not None and said != another:
        raise GraphError(
            f"{name_of(first)} predicts {name_of(said)}, and {name_of(other)} predicts {name_of(another)}",
            help="what is to take one place predicts one outcome",
        )


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

    @property
    def outcome(self) -> Column | None:
        return self.cheap.node.outcome if self.strong.node.outcome is None else self.strong.node.outcome

    def label(self) -> str:
        return f"{name_of(self.strong)} otherwise {name_of(self.cheap)}"

    def parts(self) -> list[tuple[str, Column]]:
        return [("", self.strong), ("otherwise", self.cheap)]

    def evaluate(self, run: Run) -> Any:
        value = run.tried(self.strong)
        return run.value(self.cheap) if value is None else value

    def evaluate_at(self, run: Run, pairs: Pairs) -> Any:
        value = run.tried(self.strong, pairs)
        return run.at(self.cheap, pairs) if value is None else value


@dataclass(frozen=True, eq=False)
class Choice(Node):
    """A place that one of several columns will take."""

    options: tuple[Column, ...]

    @property
    def inputs(self) -> tuple[Column, ...]:
        return self.options

    @cached_property
    def among(self) -> frozenset[Column]:
        return self.options[0].node.among

    def label(self) -> str:
        return f"one of {', '.join(name_of(option) for option in self.options)}"

    def undecided(self) -> GraphError:
        """That it has to be decided first, and how."""
        return GraphError(
            f"nothing is chosen yet for {self.label()}", help="graph.choose(train, test, worth).graph.fit(train)"
        )

    def evaluate(self, run: Run) -> Any:
        raise self.undecided()

    def evaluate_at(self, run: Run, pairs: Pairs) -> Any:
        return self.evaluate(run)


@dataclass(frozen=True, eq=False)
class Missing(Node):
    """A value that is missing in every row of a grain."""

    kind: type[Column]
    rows_of: Grain

    @cached_property
    def grain(self) -> Grain:
        return self.rows_of

    def config(self) -> str:
        return f"{self.kind.__name__} {grain_name(self.grain)}"

    def label(self) -> str:
        return "nothing"

    def evaluate(self, run: Run) -> Any:
        return run.missing(self.kind, self.grain)

    def evaluate_at(self, run: Run, pairs: Pairs) -> Any:
        return run.missing(self.kind, frozenset(), len(pairs.items))


def given(column: Column | None) -> tuple[Column, ...]:
    """The column, where there is one."""
    return () if column is None else (column,)


def union(columns: tuple[Column, ...]) -> Grain:
    return frozenset[Any]().union(*(c.grain for c in columns))


@lru_cache(maxsize=1024)
def event_of(grain: Grain) -> Any:
    """The event of a grain, None where there is none."""
    return next((r for r in grain if r.is_event), None)


@lru_cache(maxsize=1024)
def item_of(grain: Grain) -> Any:
    """The entity of a grain, None where there is none."""
    return next((r for r in grain if not r.is_event), None)


def grain_name(grain: Grain) -> str:
    names = sorted(grain, key=lambda r: (not r.is_event, r.__name__))
    return "{" + ", ".join(r.__name__ for r in names) + "}"


def upstream(columns: tuple[Column, ...], fits: bool = True) -> Iterator[Column]:
    """Every column that these need, inputs before what reads them, each once. fits: also what only fits read."""
    seen: set[str] = set()

    def visit(column: Column) -> Iterator[Column]:
        if column.fingerprint in seen:
            return
        seen.add(column.fingerprint)
        for fit in column.node.fits if fits else ():
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
