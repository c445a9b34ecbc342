"""What happened before: histories and window aggregates, each as of the time it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from motet.apply import Whole
from motet.column import Category, Column, Flag, Number, Reference, Sequence, Time, argument
from motet.errors import GraphError
from motet.model import Model
from motet.node import Grain, Node, Run, event_of, grain_name, name_of, upstream
from motet.record import Event, Field, Record, entity_of, reference_of
from motet.span import seconds_of


@dataclass(frozen=True, eq=False)
class Past(Node):
    """The values that a column had in strictly earlier events of the same reference, oldest first."""

    past_value: Column
    by: Column
    asof: Column
    last: int | None
    within: float | None
    delay: float

    @property
    def inputs(self) -> tuple[Column, ...]:
        times = (event_of(reference.grain).time_column() for reference in (self.by, self.asof))
        return (self.past_value, self.by, self.asof, *times)

    @cached_property
    def grain(self) -> Grain:
        return self.asof.grain

    @cached_property
    def after(self) -> frozenset[Any]:
        return frozenset()

    @cached_property
    def among(self) -> frozenset[Column]:
        return frozenset()

    @property
    def holds(self) -> Any:
        return entity_of(self.past_value) if isinstance(self.past_value, Reference) else None

    def config(self) -> str:
        return f"{self.last} {self.within} {self.delay}"

    def label(self) -> str:
        bounds = [f"last {self.last}"] if self.last else []
        bounds += [f"within {self.within:g} s"] if self.within else []
        return f"past({name_of(self.past_value)} by {name_of(self.by)}{', ' if bounds else ''}{', '.join(bounds)})"

    def evaluate(self, run: Run) -> Any:
        event: type[Event] = event_of(self.asof.grain)
        asked = run.value(self.asof).codes, run.value(event.time_column())
        return run.history(self.past_value, self.by).windows(*asked, self.delay, self.within, self.last)


def past(
    column: Column | Record,
    *,
    by: Record,
    last: int | None = None,
    within: str | float | None = None,
    asof: Record | None = None,
) -> Sequence:
    """The column's values in strictly earlier events with the same reference, oldest first.

    Events at the same instant are not before each other. An outcome that takes time to arrive
    (`outcome(after="7d")`) is seen only once it has arrived.
    by: the reference that the events share, such as Visit.viewer.
    last: at most so many. within: no older than this, seconds or "1d".
    asof: the reference of the event that asks, when it is another event than the one that is read.
    """
    value = argument(Model(), column)
    key = reference_of(by)
    if isinstance(value, Whole) or key.grain != value.grain:
        raise GraphError(
            f"past reads a column of {grain_name(key.grain)}, the event of its `by`, and got {column!r}",
            help="read both from one event: mt.past(Visit.film, by=Visit.viewer)",
        )
    if not isinstance(value, (Number, Flag, Category, Reference, Time)):
        raise GraphError(
            f"past keeps no {value.kind} such as {name_of(value)}",
            help="read a number, a flag, a category, a time or a reference",
        )
    if last is not None and (last < 1 or last != int(last)):
        raise GraphError(f"last={last} would see nothing", help="last=50, or leave it out for all")
    asking = key if asof is None else reference_of(asof)
    if (asof is not None and asking.after) or (asof is None and key.after):
        raise GraphError(
            f"past cannot be asked by {name_of(asking)}, an outcome that is not known when it is asked",
            help="ask by a reference that is known: by=Visit.viewer, or asof=Visit.viewer",
        )
    _check_stateless(value)
    span = None if within is None else seconds_of(within)
    delay = max(_delay(value), _delay(key))
    if span is not None and span <= delay:
        raise GraphError(
            f"within={within!r} would see nothing: {name_of(value)} is known {delay:g} s after the event",
            help=f"look further back than {delay:g} s",
        )
    return Sequence.of(Past(value, key, asking, last, span, delay))


def _check_stateless(value: Column) -> None:
    for needed in upstream((value,)):
        if needed.node.fits:
            raise GraphError(
                f"past reads {name_of(value)}, which a fitted model makes: it would see its own training",
                help="read what was declared, or what a model that learns nothing made of it, such as embed(...)",
            )


def _delay(value: Column) -> float:
    nodes = [c.node for c in upstream((value,))]
    return max((n.record.specs[n.name].delay for n in nodes if isinstance(n, Field)), default=0.0)
