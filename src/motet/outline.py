"""What a graph is before any data are there: its outputs and all that follows from them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from motet.apply import Fit, Pick
from motet.column import Column, Late
from motet.errors import GraphError, listed
from motet.model import digest
from motet.node import Node, event_of, grain_name, upstream
from motet.record import Record
from motet.rewrite import Rewrite


class Outline:
    """Named outputs and everything they need, checked.

    parts: other graphs, or records that a model fills in, whose outputs this graph has too.
    outputs: columns by name. Errors: two outputs of one name, an outcome as output, a late value without a
    deadline, outputs that are asked by different events.
    """

    def __init__(self, *parts: Outline | Record, **outputs: Any) -> None:
        named: dict[str, Column] = {}
        for given in (*(_outputs_of(part) for part in parts), outputs):
            for name, value in given.items():
                if name in named:
                    raise GraphError(
                        f"two outputs are called {name!r}", help=f"rename one: Graph(..., other_{name}=...)"
                    )
                named[name] = _checked(name, value)
        if not named:
            raise GraphError("a graph without outputs does nothing", help="mt.Graph(top=score.top(10))")
        self.outputs: Mapping[str, Column] = named
        scope = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        self.names = _names(scope.f_locals, scope.f_globals)
        _ = self.event

    @classmethod
    def called(cls, names: Mapping[str, str], **outputs: Column) -> Self:
        """Outputs whose columns are called by these names, by fingerprint, and not by the author's variables."""
        made = cls(**outputs)
        made.names = dict(names)
        return made

    def rewritten(self, swaps: Mapping[str, Node]) -> Outline:
        """This outline with other nodes in the places of some, which are given by fingerprint; names stay."""
        made = Rewrite(swaps)
        known = [column for column in self.columns if column.fingerprint in self.names]
        names = {made.column(column).fingerprint: self.names[column.fingerprint] for column in known}
        return Outline.called(names, **{name: made.column(column) for name, column in self.outputs.items()})

    @cached_property
    def event(self) -> Any:
        """The event that asks; None for a graph that only reads entities."""
        events = {event_of(c.grain): name for name, c in self.outputs.items() if event_of(c.grain)}
        if len(events) > 1:
            pairs = ", ".join(f"{name} by {event.__name__}" for event, name in events.items())
            raise GraphError(f"one request cannot be two events: {pairs}", help="make a graph for each event")
        return next(iter(events), None)

    @cached_property
    def answered(self) -> Mapping[str, Column]:
        """What an ask is answered with: outputs that exist per request, and those of an entity that it refers to.

        An output of another entity, or of one that only the outcome tells, is prepared and answers no ask.
        """
        event = self.event
        found = {} if event is None else {name: event.lookup(column) for name, column in self.outputs.items()}
        return {name: column for name, column in found.items() if event in column.grain}

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every column that it needs, inputs before what reads them."""
        return tuple(upstream(tuple(self.outputs.values())))

    @cached_property
    def answering(self) -> tuple[Column, ...]:
        """The columns that its answers need; what only a fit reads, such as a teacher, is not among them."""
        return tuple(upstream(tuple(self.outputs.values()), fits=False))

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """What has to be fitted, in order."""
        found = {f.fingerprint: f for column in self.columns for f in column.node.fits if isinstance(f, Fit)}
        return tuple(found.values())

    @cached_property
    def records(self) -> tuple[type[Record], ...]:
        """The declared records that it reads, entities that are only referred to included."""
        read = dict.fromkeys(r for c in self.columns for r in c.grain)
        waiting = list(read)
        while waiting:
            new = [entity for entity in waiting.pop().references().values() if entity not in read]
            read.update(dict.fromkeys(new))
            waiting += new
        return tuple(read)

    @cached_property
    def fingerprint(self) -> str:
        return digest(*(f"{name}={column.fingerprint}" for name, column in self.outputs.items()))

    def name(self, column: Column) -> str:
        """What the author calls a column, or which part it is of one that has a name, or how it is made."""
        return self._named.get(column.fingerprint) or column.node.label()

    @cached_property
    def _named(self) -> Mapping[str, str]:
        named = {c.fingerprint: name for name, c in self.outputs.items()} | dict(self.names)
        for column in reversed(self.columns):
            reader = named.get(column.fingerprint)
            for part, needed in column.node.parts() if reader else ():
                named.setdefault(needed.fingerprint, f"{reader}.{part}" if part else f"{reader}")
        return named

    def output(self, name: str) -> Column:
        if name not in self.outputs:
            raise GraphError(f"the graph has no output {name!r}", help=listed(self.outputs, name))
        return self.outputs[name]

    def __repr__(self) -> str:
        outputs = ", ".join(f"{name}: {c.kind} @ {grain_name(c.grain)}" for name, c in self.outputs.items())
        return f"{type(self).__name__}({outputs})"


def _outputs_of(part: Any) -> Mapping[str, Any]:
    if isinstance(part, Outline):
        return part.outputs
    if isinstance(part, Record):
        return {name: part.__dict__[name] for name in type(part).fields}
    raise GraphError(f"{part!r} has no name", help="name every output: mt.Graph(top=score.top(10))")


def _checked(name: str, value: Any) -> Column:
    if isinstance(value, Late):
        raise GraphError(f"output {name!r} comes late and may not come at all", help='.within(seconds=3, otherwise="")')
    if not isinstance(value, Column):
        raise GraphError(f"output {name!r} is {value!r}, not a column", help="mt.Graph(top=score.top(10))")
    if value.after:
        event = next(iter(value.after)).__name__
        raise GraphError(
            f"output {name!r} is an outcome of {event}, which nobody knows when it is asked",
            help="answer what a model predicts of it instead",
        )
    return value


def _names(*scopes: Mapping[str, Any]) -> dict[str, str]:
    """What the author's variables call the columns, and the fields of records that a model fills in."""
    found: dict[str, str] = {}
    for scope in scopes:
        for name, value in scope.items():
            if isinstance(value, Column) and not name.startswith("_"):
                found.setdefault(value.fingerprint, name)
            for node in _picks(value):
                found.setdefault(node.filled.fingerprint, name)
                found.setdefault(node.fingerprint, f"{name}.{node.name}")
    return found


def _picks(value: Any) -> list[Pick]:
    """The fields of a record that a model fills in."""
    held = vars(value).values() if isinstance(value, Record) else ()
    return [column.node for column in held if isinstance(column, Column) and isinstance(column.node, Pick)]
