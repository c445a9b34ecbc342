"""What people are told that a column is, where its author gave it no name: its model, and what that reads."""

from __future__ import annotations

from collections.abc import Iterator

from motet.apply import Apply
from motet.column import Key
from motet.node import Column, Node
from motet.operators import OPERATORS
from motet.outline import Outline

MOST = 3  # columns that are told; the rest are counted


def called(outline: Outline) -> dict[str, str]:
    """Every column that has no name, by how it is made."""
    return {outline.name(c): _told(outline, c) for c in outline.columns if c.node.inputs and _unnamed(outline, c)}


def _unnamed(outline: Outline, column: Column) -> bool:
    return outline.name(column) == column.node.label()


def _told(outline: Outline, column: Column) -> str:
    kind, names = _kind(outline, column.node), list(dict.fromkeys(_read(outline, column)))
    if not names:
        return kind
    *first, last = names if len(names) <= MOST + 1 else [*names[:MOST], f"{len(names) - MOST} more"]
    return f"{kind} of {', '.join(first)}{' and ' if first else ''}{last}"


def _kind(outline: Outline, node: Node) -> str:
    """The model; of arithmetic with what a model has learnt, that model."""
    if not isinstance(node, Apply):
        return type(node).__name__.lower()
    if not isinstance(node.model, OPERATORS):
        return type(node.model).__name__
    learnt = [read.node.fit for read in node.inputs if isinstance(read.node, Apply) and _unnamed(outline, read)]
    return next((type(fit.model).__name__ for fit in learnt if fit), str(node.model))


def _read(outline: Outline, column: Column) -> Iterator[str]:
    """The nearest columns with a name that it is made of, and fitted on; not the keys that only say whose rows they
    are."""
    for needed in (*column.node.inputs, *(read for fit in column.node.fits for read in fit.inputs)):
        if needed.node.inputs and _unnamed(outline, needed):
            yield from _read(outline, needed)
        elif not isinstance(needed, Key):
            yield outline.name(needed)
