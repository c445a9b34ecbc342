"""Alternatives for one place of a graph: all are fitted and replayed, and the best net return takes the place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rich.table import Table as Grid

from motet.batch import Array
from motet.data import Data
from motet.errors import GraphError
from motet.evaluation import Evaluation, Figure
from motet.metrics.intervals import Estimate
from motet.metrics.verdicts import net
from motet.node import Choice, Column, check_fallback, check_outcomes, upstream
from motet.outline import Outline
from motet.printed import money, printed, warned
from motet.returns.bills import (
    PER,
    Bill,
    amounts_of,
    billed,
    check_asked,
    chosen,
    groups_of,
    llms,
    problems_of,
    replayed,
    unpriced,
)
from motet.returns.worth import Prices, Worth

if TYPE_CHECKING:
    from motet.fitted import Fitted

C = TypeVar("C", bound=Column)
G = TypeVar("G", bound=Outline)
HELP = "found = graph.choose(train, test, mt.Worth(hit=0.02), mt.Prices(cpu_hour=0.04)); found.graph.fit(train)"


def choose(*options: C) -> C:
    """One place, several columns that may take it; `graph.choose(...)` says which is worth most.

    Errors: fewer than two, columns of different kinds, of more rows than the first, or that predict another outcome.
    """
    if len(options) < 2:
        raise GraphError("there is nothing to choose from", help="mt.choose(cheap, strong)")
    first = options[0]
    given: tuple[Any, ...] = options
    for option in given:
        if not isinstance(option, Column):
            raise GraphError(f"{option!r} is no column to choose", help="mt.choose(cheap, strong)")
    for option in options[1:]:
        check_fallback(first, option, same=isinstance(option, type(first)) or isinstance(first, type(option)))
        check_outcomes(first, option)
    return type(first).of(Choice(options))


@dataclass(frozen=True)
class Option:
    """One of the alternatives. milliseconds: of processor a request, live. bill: money per 1,000 requests of the whole
    graph with it. value, net: money per 1,000 requests. behind: by how much its net is less than that of the one that
    was chosen, paired over the same requests; None of that one."""

    name: str
    metric: str
    quality: Estimate
    milliseconds: float
    bill: Bill
    value: Estimate
    net: Estimate
    behind: Estimate | None


@dataclass(frozen=True)
class Chosen(Generic[G]):
    """What was measured of each alternative on n requests, the winner, and the graph in which it has the place.
    problems: what could not be had while measuring, counted."""

    rows: tuple[Option, ...]
    chosen: str
    n: int
    graph: G
    problems: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_dict(self) -> dict[str, Any]:
        kept = {"chosen": self.chosen, "n": self.n, "problems": dict(self.problems)}
        return {"rows": [asdict(row) for row in self.rows], **kept}

    def __str__(self) -> str:
        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for name in ("", "model", "metric", "quality", "ms a request", "cost", "value", "net", "behind"):
            grid.add_column(name, no_wrap=True)
        for row in self.rows:
            behind = "" if row.behind is None else money(row.behind)
            figures = f"{row.bill.total:.4g}", money(row.value), money(row.net), behind
            mark = "->" if row.name == self.chosen else ""
            grid.add_row(mark, row.name, row.metric, str(row.quality), f"{row.milliseconds:.3g}", *figures)
        said = [f"n={self.n:,} requests replayed; money per {PER:,} requests; behind: net of the chosen one less this"]
        if near := [row.name for row in self.rows if row.behind is not None and not row.behind.sure]:
            said.append(f"these requests do not tell {self.chosen} from {', '.join(near)}")
        said += unpriced(*(row.bill.total for row in self.rows))
        return "\n".join([*printed(grid), "", *said, *warned(self.problems)])


def chosen_of(
    outline: Outline,
    fit: Callable[[Outline], Fitted],
    test: Data,
    worth: Worth,
    prices: Prices,
    relevant: Any = None,
    requests: int | None = None,
) -> Chosen[Outline]:
    """The rest is as `Graph.choose` says."""
    check_asked(test, worth, prices, requests, needs_worth=True)
    places = [column for column in outline.columns if isinstance(column.node, Choice)]
    if len(places) != 1:
        named = f": {', '.join(map(outline.name, places))}" if places else ""
        raise GraphError(f"the graph has {len(places)} places to choose for, and one is asked for{named}", help=HELP)
    node = places[0].node
    assert isinstance(node, Choice)
    prices.check(llms(outline))
    graphs = [outline.rewritten({node.fingerprint: option.node}) for option in node.options]
    reading = [name for name, output in outline.outputs.items() if places[0] in upstream((output,), fits=False)]
    tried = [
        _tried(name, fit(graph), test, worth, prices, relevant, requests, reading)
        for name, graph in zip(_names(outline, node), graphs, strict=True)
    ]
    best = max(tried, key=lambda each: -math.inf if each.net.value is None else each.net.value)
    rows = tuple(_option(each, best) for each in tried)
    problems = problems_of({each.name: each.found for each in tried})
    return Chosen(rows, best.name, best.found.n, graphs[tried.index(best)], problems)


def _names(outline: Outline, node: Choice) -> list[str]:
    """What the options are called; those that are called alike are numbered."""
    names = [outline.name(option) for option in node.options]
    return [f"{name} #{i}" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]


@dataclass(frozen=True, eq=False)
class _Tried:
    """An alternative, replayed. worths: what each counted request was worth, money per 1,000 such, float64 [n]."""

    name: str
    found: Evaluation
    shown: Figure
    milliseconds: float
    bill: Bill
    worths: Array
    groups: Array | None

    @cached_property
    def net(self) -> Estimate:
        return net(self.worths, self.bill.total, self.groups)


def _tried(
    name: str,
    fitted: Fitted,
    test: Data,
    worth: Worth,
    prices: Prices,
    relevant: Any,
    requests: int | None,
    reading: Sequence[str],
) -> _Tried:
    """reading: the outputs that read the place, of which one is measured."""
    found, live = replayed(fitted, test, relevant)
    output = chosen(found, worth, None, reading)
    bill = billed(fitted, live, prices, found.n, requests or found.n)
    measured = found.measured[output]
    worths = PER * worth.each(measured, amounts_of(fitted, test, worth, relevant))
    spent = sum(cost.cpu_seconds for _, cost in live.values())
    return _Tried(name, found, found.main(output), 1e3 * spent / found.n, bill, worths, groups_of(measured))


def _option(tried: _Tried, best: _Tried) -> Option:
    behind = None
    if tried is not best:
        behind = net(best.worths - tried.worths, best.bill.total - tried.bill.total, best.groups)
    shown, value = tried.shown, net(tried.worths, 0.0, tried.groups)
    return Option(tried.name, shown.metric, shown.estimate, tried.milliseconds, tried.bill, value, tried.net, behind)
