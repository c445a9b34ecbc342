"""Where one of two answers: what is declared by `otherwise`, or by `escalate`."""

from __future__ import annotations

from dataclasses import dataclass

from motet.apply import Within
from motet.candidates import Retrieve
from motet.escalate import Escalate
from motet.node import Column, Missing, Otherwise
from motet.outline import Outline
from motet.record import Field


@dataclass(frozen=True)
class Place:
    """A strong column, or what was declared for when it cannot be had or is not worth it. at: the column that is one of
    both.

    name: of the place. strong, cheap: what the two are called.
    """

    name: str
    at: Column
    column: Column
    instead: Column | None
    strong: str
    cheap: str


def places(outline: Outline) -> tuple[Place, ...]:
    """Every place of a graph, in the order of its columns."""
    made: list[Place] = []
    for column in outline.answering:
        node = column.node
        if isinstance(node, (Otherwise, Escalate)):
            made.append(_place(outline, column, node.strong, node.cheap))
        elif isinstance(node, Within):
            made.append(_place(outline, column, node.late, node.cheap))
    return tuple(made)


def _place(outline: Outline, at: Column, strong: Column, cheap: Column | None) -> Place:
    called = "otherwise" if cheap is None else _called(outline, cheap)
    return Place(outline.name(at), at, strong, cheap, _called(outline, strong), called)


def _called(outline: Outline, column: Column) -> str:
    """What the author calls it; candidates by one scorer alone are called by that."""
    node = column.node
    if isinstance(node, (Field, Missing)):
        return node.label()
    if isinstance(node, Retrieve) and len(node.by) == 1:
        return outline.name(node.by[0])
    return outline.name(column)
