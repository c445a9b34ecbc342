"""The plan: what is computed when, how often, and what it will cost, before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from rich.table import Table as Grid

from motet.apply import Apply, Fit, Within, aligned_of
from motet.batch import Array, Batch, take
from motet.column import Image, Text, Vector
from motet.cost import Cost
from motet.data import Data
from motet.memory import Peak
from motet.model import NOTHING, digest
from motet.node import Column, Node, event_of
from motet.operators import OPERATORS
from motet.outline import Outline
from motet.printed import printed
from motet.record import Field
from motet.run.context import Context
from motet.run.null import Count, counts, is_work
from motet.run.runner import Local
from motet.store import Store
from motet.store.folder import open_store

SAMPLE = 8  # rows that are really computed to measure a column's unit cost
UNITS = ((3600.0, "h", 5400.0), (60.0, "min", 90.0), (1.0, "s", 1.0), (1e-3, "ms", 1e-3))  # and from when on
TEXTS = (Text, Image)  # what may be empty, and costs nothing then
NOTHING_MEASURED = "nothing is measured yet: motet plan FILE.py:GRAPH --measure tries costly models on a few rows"


@dataclass(frozen=True)
class Line:
    """One column of a plan. seconds: of one row, as measured. peak_bytes: resident memory that its model has added at
    most, be it in a call or in its fit. None where it never ran here, or the system does not tell. reads: the columns
    and fields that it is made of, and fitted on. elsewhere, silent: as `Unit` says them."""

    column: str
    grain: str
    computed: str
    times: int | None
    seconds: float | None
    per_request: bool
    model: str
    cost: float | None
    peak_bytes: int | None = None
    reads: tuple[str, ...] = ()
    elsewhere: bool = False
    silent: bool = False


@dataclass(frozen=True)
class Unit:
    """What a row of a column takes, in seconds; None where that was not measured.

    told: the share of its rows that is not empty. elsewhere: measured on what its model computes ahead, and not on rows
    of its own. silent: so it is, or not measured, since all rows that the data have for it are empty texts.
    """

    seconds: float | None
    told: float = 1.0
    elsewhere: bool = False
    silent: bool = False


@dataclass(frozen=True)
class Plan:
    lines: tuple[Line, ...]
    mermaid: str

    def to_json(self) -> str:
        return json.dumps({"columns": [asdict(line) for line in self.lines], "mermaid": self.mermaid})

    def __str__(self) -> str:
        grid = Grid(box=None, pad_edge=False, header_style="bold")
        grid.add_column("column", no_wrap=True, max_width=30, overflow="ellipsis")
        grid.add_column("grain", no_wrap=True, min_width=13)
        grid.add_column("computed", no_wrap=True, min_width=30)
        for name in ("times", "each", "in all"):
            grid.add_column(name, justify="right", no_wrap=True, min_width=12 if name != "times" else 6)
        grid.add_column("memory", justify="right", no_wrap=True, min_width=8)
        grid.add_column("", no_wrap=True, min_width=18)
        dearest = _dearest(self.lines)
        for line in self.lines:
            times = "?" if line.times is None else f"{line.times:,}"
            share = f"<- {dearest[1]:.0%} of the bill" if dearest and line is dearest[0] else _origin(line)
            figures = times, _each(line), _in_all(line), _memory(line)
            grid.add_row(line.column, line.grain, line.computed, *figures, share)
        rows = printed(grid, width=150)
        known = any(line.seconds is not None for line in self.lines)
        return "\n".join(rows if known else [*rows, "", NOTHING_MEASURED])


def plan(outline: Outline, data: Data | None = None, *, store: Path | str | None = None, measure: bool = False) -> Plan:
    """Counts what each column takes; with `measure` it tries the costly ones on a few rows first."""
    kept = open_store(store)
    if measure and data is not None:
        _measure(outline, data, kept)
    sizes = {} if data is None else {record: len(table) for record, table in data.tables.items()}
    named = {c.fingerprint: outline.name(c) for c in outline.columns if _told(outline, c)}
    lines = [_line(outline, data, kept, c, named) for c in counts(outline, sizes) if _shown(outline, c.column)]
    return Plan(tuple(lines), mermaid(outline))


def cost_key(node: Apply | Fit) -> str:
    """What a unit cost is kept under: the model, whatever it is applied to or fitted on."""
    how = "fit" if isinstance(node, Fit) else str(event_of(node.grain) is not None)
    return digest(node.model.identity(), how)


def unit(store: Store, node: Apply, data: Data | None) -> Unit:
    """What a row takes. An empty text costs nothing and stands for no text, so a model that reads texts alone is
    measured by the rows that have one; a column without any costs what its model takes of a row ahead."""
    told = _filled(node, data)
    if told is None:
        return Unit(_mean(store.cost(cost_key(node))))
    ahead = event_of(node.grain) is None
    own = _mean(store.cost(node.fingerprint))
    if own is not None and told:
        return Unit(own / told, told)
    silent = data is not None and not told
    other = None if ahead and silent else _mean(store.cost(digest(node.model.identity(), str(False))))
    return Unit(other, told, not ahead and other is not None, silent)


def _mean(cost: Cost | None) -> float | None:
    return cost.seconds / cost.rows if cost and cost.rows else None


def _filled(node: Apply, data: Data | None) -> float | None:
    """Of the rows of a model that reads texts (or pictures) alone, the share that has one; None where it reads other
    things too. Without data nobody knows of any."""
    event = event_of(node.grain)
    read = [c for c in _row(node) if event is None or event in c.grain]
    if not any(isinstance(c, TEXTS) for c in read) or not all(isinstance(c, (*TEXTS, Vector)) for c in read):
        return None
    fields = _fields(read)
    records = {field.record for field in fields}
    if len(records) != 1 or not records <= node.grain:
        return None
    if any(field.record.fields[field.name] not in TEXTS for field in fields):
        return None
    table = None if data is None else data.tables.get(records.pop())
    if table is None or not len(table):
        return 0.0
    there = [pc.greater(pc.binary_length(table.columns[field.name]), 0).fill_null(False) for field in fields]
    filled: Array = np.stack([each.to_numpy(zero_copy_only=False) for each in there])
    return float(filled.any(axis=0).mean())


def _fields(columns: Iterable[Column]) -> list[Field]:
    """What a row of these columns is made of."""
    found, waiting = dict[str, Node](), [column.node for column in columns]
    while waiting:
        node = waiting.pop()
        if node.fingerprint not in found:
            found[node.fingerprint] = node
            waiting += [c.node for c in (_row(node) if isinstance(node, Apply) else node.inputs)]
    return [node for node in found.values() if isinstance(node, Field)]


def _row(node: Apply) -> list[Column]:
    """What a model reads row by row: not a table that it looks things up in, but whole candidates of an event."""
    event = event_of(node.grain)
    whole = [c for c in node.inputs if event is not None and event in c.grain]
    return list(dict.fromkeys([*aligned_of(node.args), *whole]))


def _line(outline: Outline, data: Data | None, store: Store, count: Count, named: Mapping[str, str]) -> Line:
    node = count.column.node
    node = node.late.node if isinstance(node, Within) else node
    cost = store.cost(cost_key(node)) if isinstance(node, Apply) else None
    learnt = store.cost(cost_key(node.fit)) if isinstance(node, Apply) and node.fit else None
    each = unit(store, node, data) if isinstance(node, Apply) else Unit(None)
    model = str(node.model) if isinstance(node, Apply) else type(node).__name__.lower()
    crosses = isinstance(node, Apply) and node.model.crosses
    times = 1 if crosses else count.times
    told = times if count.per_request or times is None else times * each.told
    total = None if each.seconds is None or told is None else each.seconds * told * count.share
    return Line(
        outline.name(count.column),
        count.grain,
        count.occasion,
        count.times,
        each.seconds,
        count.per_request,
        model,
        total,
        ((cost or Cost()) + (learnt or Cost())).peak_bytes,
        tuple(dict.fromkeys(named[read.fingerprint] for read in _sources(Column(node), named))),
        each.elsewhere,
        each.silent,
    )


def _shown(outline: Outline, column: Column) -> bool:
    """What the author named, and what a model makes; not every plus and dot between them."""
    named = column.fingerprint in outline.names or column in outline.outputs.values()
    return named or not isinstance(column.node, Apply) or not isinstance(column.node.model, OPERATORS)


def _told(outline: Outline, column: Column) -> bool:
    """What another line says it reads: fields, what has a name, and what has a line of its own."""
    named = column.fingerprint in outline.names or column in outline.outputs.values()
    return not column.node.inputs or named or (is_work(column) and _shown(outline, column))


def _dearest(lines: tuple[Line, ...]) -> tuple[Line, float] | None:
    """The column that prepares dearest, if one carries most of the bill."""
    once = [line for line in lines if not line.per_request and line.cost]
    total = sum(line.cost or 0.0 for line in once)
    if not total:
        return None
    line = max(once, key=lambda line: line.cost or 0.0)
    share = (line.cost or 0.0) / total
    return (line, share) if share > 0.5 and len(once) > 1 else None


def _each(line: Line) -> str:
    return "not measured" if line.seconds is None else span(line.seconds)


def _origin(line: Line) -> str:
    """Why a line says what it says of its rows, where they were not what was measured."""
    if line.elsewhere:
        return "each as ahead"
    return "no texts in data" if line.silent else ""


def _in_all(line: Line) -> str:
    if line.cost is None:
        return ""
    return span(line.cost) + ("" if line.per_request else " once")


def _memory(line: Line) -> str:
    return "" if line.peak_bytes is None else f"{line.peak_bytes / 1e6:,.0f} MB"


def span(seconds: float) -> str:
    """A length of time in the unit that fits it."""
    size, unit = next(((size, unit) for size, unit, least in UNITS if seconds >= least), (1e-6, "us"))
    return f"{seconds / size:.3g} {unit}"


def _measure(outline: Outline, data: Data, store: Store) -> None:
    """Runs the costly models that need no fit on a few rows; what they say is kept nowhere but their cost."""
    context = Context(data, Local(lambda node, cost: None), store)
    metered = Local(lambda node, cost: store.add_cost(cost_key(node), cost) if isinstance(node, Apply) else None)
    for column in outline.columns:
        node = column.node
        if not isinstance(node, Apply) or not node.model.costly or node.fit or event_of(node.grain):
            continue
        if store.cost(cost_key(node)) is not None or any(c.node.fits for c in node.inputs):
            continue
        args = {name: context.shared(arg) for name, arg in node.args.items() if isinstance(arg, Column)}
        rows = np.unique(np.linspace(0, len(next(iter(args.values()))) - 1, SAMPLE).astype(np.int64))
        warm = {name: take(value, rows[:1]) for name, value in args.items()}
        loading = Peak()
        node.model.apply(NOTHING, Batch(warm, rows=1))
        store.add_cost(cost_key(node), Cost(peak_bytes=loading.end()))
        metered.apply(node, NOTHING, Batch({n: take(v, rows) for n, v in args.items()}, rows=len(rows)))


def mermaid(outline: Outline) -> str:
    """The graph as a picture that Markdown shows: columns in boxes by grain, models on the arrows."""
    shown = [c for c in outline.columns if _drawn(outline, c)]
    number = {c.fingerprint: f"c{i}" for i, c in enumerate(shown)}
    lines = ["flowchart LR"]
    grains = sorted({_grain(c) for c in shown})
    for i, grain in enumerate(grains):
        lines.append(f'  subgraph g{i}["{grain}"]')
        lines += [f'    {number[c.fingerprint]}["{_text(outline, c)}"]' for c in shown if _grain(c) == grain]
        lines.append("  end")
    for c in shown:
        sources = dict.fromkeys(number[s.fingerprint] for s in _sources(c, number))
        lines += [f"  {source} --> {number[c.fingerprint]}" for source in sources]
    return "\n".join(lines)


def _drawn(outline: Outline, column: Column) -> bool:
    from_data = not column.node.inputs
    return from_data or (_shown(outline, column) and outline.name(column) != "") or column in outline.outputs.values()


def _grain(column: Column) -> str:
    return " x ".join(sorted(r.__name__ for r in column.grain)) or "once"


def _text(outline: Outline, column: Column) -> str:
    name, node = outline.name(column), column.node
    model = f"<br/>{node.model}" if isinstance(node, Apply) and name != node.label() else ""
    return f"{name}{model}".replace('"', "'")


def _sources(column: Column, drawn: Mapping[str, str]) -> list[Column]:
    """The nearest drawn columns that a column reads, in its fit too."""
    found: list[Column] = []
    reads: list[Column] = [*column.node.inputs, *(i for fit in column.node.fits for i in fit.inputs)]
    for needed in reads:
        found += [needed] if needed.fingerprint in drawn else _sources(needed, drawn)
    return found
