"""Computes ahead what the grain allows: columns that no request is part of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from motet.apply import Apply
from motet.model import digest
from motet.node import Column, event_of
from motet.outline import Outline
from motet.run.context import Context


@dataclass(frozen=True)
class Prepared:
    """What a prepare did. rows, new: of all columns that are kept row by row, and those that had to be computed.

    problems: why values are missing, counted, by column. values: where every prepared column is kept; cells: where
    the rows of costly ones are.
    """

    rows: int
    new: int
    problems: Mapping[str, Mapping[str, int]]
    values: Mapping[str, str]
    cells: tuple[str, ...] = ()
    version: int | None = None

    def as_version(self, version: int) -> Prepared:
        return replace(self, version=version)

    def __str__(self) -> str:
        said = f"version {self.version}: " if self.version else ""
        lines = [f"{said}{len(self.values)} columns prepared; {self.new:,} of {self.rows:,} costly rows computed"]
        lines += [f"  {name}: {n} x {why}" for name, found in self.problems.items() for why, n in found.items()]
        return "\n".join(lines)


def prepared_columns(outline: Outline) -> list[Column]:
    """The entity columns that a request reads: those that something asked by an event, or an output, needs."""
    outputs = {c.fingerprint for c in outline.outputs.values()}
    readers = [c for c in outline.columns if event_of(c.grain) is not None]
    read = {i.fingerprint for c in readers for i in c.node.inputs} | outputs
    return [
        c for c in outline.columns if isinstance(c.node, Apply) and _ahead(c) and (c.fingerprint in read or _costly(c))
    ]


def _ahead(column: Column) -> bool:
    return event_of(column.grain) is None and bool(column.grain)


def _costly(column: Column) -> bool:
    return isinstance(column.node, Apply) and column.node.model.costly


def prepare(outline: Outline, context: Context) -> Prepared:
    """Computes and keeps them all; a killed run loses at most the block it was in."""
    rows, problems = 0, dict[str, Mapping[str, int]]()
    values: dict[str, str] = {}
    cells: list[str] = []
    for column in prepared_columns(outline):
        name, value = context.value_name(column), context.shared(column)
        if _costly(column):
            known, why = context.rows_kept(column)
            name = name if known.all() else digest(name, known.tobytes())
            cells.append(context.made(column))
            rows += len(known)
            problems |= {outline.name(column): why} if why else {}
        context.store.keep_value(name, value)
        values[column.fingerprint] = name
    return Prepared(rows, sum(context.computed.values()), problems, values, tuple(cells))
