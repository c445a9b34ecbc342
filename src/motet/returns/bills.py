"""A graph replayed: what was measured on each request, and what that has cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from motet.apply import Apply, Fit
from motet.batch import Array
from motet.column import Number
from motet.cost import Cost
from motet.data import Data, check_data
from motet.errors import DataError, listed
from motet.evaluate import asked
from motet.evaluation import Evaluation, Measured
from motet.llm import LLM, llm_named, llm_of
from motet.node import Column, event_of, name_of
from motet.outline import Outline
from motet.plan import cost_key
from motet.returns.worth import HELP, MOST, Prices, Worth

if TYPE_CHECKING:
    from motet.fitted import Fitted

PER = 1_000  # requests that costs, values and nets are given for
UNPRICED = "nothing has a price here, so all costs are 0: mt.Prices(cpu_hour=0.04), --cpu-hour 0.04"
Live = Mapping[str, tuple[Apply, Cost]]


@dataclass(frozen=True)
class Bill:
    """Money per 1,000 requests. prepared: fits and columns that are computed ahead, spread over the requests that
    use them. live: what each request takes."""

    prepared: float
    live: float

    @property
    def total(self) -> float:
        return self.prepared + self.live

    def __sub__(self, other: Bill) -> Bill:
        return Bill(self.prepared - other.prepared, self.live - other.live)


def replayed(
    fitted: Fitted, test: Data, relevant: Any, beside: Mapping[str, Column] | None = None
) -> tuple[Evaluation, Live]:
    """What was measured, and what the calls for requests took, by the column's fingerprint. beside: as `evaluate` takes
    it."""
    live: dict[str, tuple[Apply, Cost]] = {}

    def spent(node: Apply | Fit, cost: Cost) -> None:
        if isinstance(node, Apply) and event_of(node.grain) is not None:
            before = live.get(node.fingerprint)
            live[node.fingerprint] = node, before[1] + cost if before else cost

    forget(fitted.outline)
    return fitted.evaluate(test, relevant=relevant, spent=spent, beside=beside), live


def forget(outline: Outline) -> None:
    """Lets embedders forget what they were asked: what another graph has embedded would cost this one nothing."""
    for column in outline.columns:
        remembered = getattr(column.node.model, "remembered", None) if isinstance(column.node, Apply) else None
        if remembered is not None:
            remembered.forget()


def billed(fitted: Fitted, live: Live, prices: Prices, requests: int, lasting: int) -> Bill:
    """live: the calls for so many requests. lasting: requests that use what is prepared."""
    now = sum(prices.of(cost, llm_name(node)) for node, cost in live.values())
    ahead = sum(prices.of(cost, name) for cost, name in _ahead(fitted))
    return Bill(PER * ahead / lasting, PER * now / requests)


def alike(ours: Live, theirs: Live) -> Live:
    """The calls of another replay. What did the same work in both is taken to have cost what it did in ours: where it
    did not, that is chance and no difference between the graphs."""
    return {name: ours[name] if _same(ours.get(name), call) else call for name, call in theirs.items()}


def _same(ours: tuple[Apply, Cost] | None, theirs: tuple[Apply, Cost]) -> bool:
    return ours is not None and (ours[1].calls, ours[1].rows) == (theirs[1].calls, theirs[1].rows)


def _ahead(fitted: Fitted) -> list[tuple[Cost, str]]:
    """What fits took, and what columns take that are there before any request; and whose language model did it."""
    found: list[tuple[Cost, str]] = []
    for about in _fits(fitted):
        took = Cost(cpu_seconds=about.get("cpu_seconds", 0), gpu_seconds=about.get("gpu_seconds", 0))
        found.append((took, ""))
        tokens: Mapping[str, Sequence[int]] = about.get("tokens", {})
        found += [(Cost(tokens_in=read, tokens_out=written), llm) for llm, (read, written) in tokens.items()]
        found += _labels(fitted, about)
    for column in fitted.outline.columns:
        node = column.node
        if isinstance(node, Apply) and event_of(node.grain) is None:
            rows = max((len(fitted.data.tables[record]) for record in node.grain), default=1)
            found += _rows(fitted, node.fingerprint, cost_key(node), rows, llm_name(node))
    return found


def unpriced(*costs: float) -> list[str]:
    """What a report says where all of these are nothing, since what is free may look worth keeping."""
    return [] if any(costs) else [UNPRICED]


def labelling(fitted: Fitted, prices: Prices) -> float:
    """Money that teachers took to say what students have learnt."""
    return sum(prices.of(cost, name) for about in _fits(fitted) for cost, name in _labels(fitted, about))


def about_fit(fitted: Fitted, fit: Fit) -> Mapping[str, Any]:
    """What is kept beside a fit's state: the rows that it has learnt from, what it took."""
    return fitted.store.about(fitted.states.names[fit.fingerprint]) or {}


def _labels(fitted: Fitted, about: Mapping[str, Any]) -> list[tuple[Cost, str]]:
    """What the kept rows of a fit's teacher took, equal ones once; whatever else that did is in the fit's own time."""
    asked: Mapping[str, Sequence[str]] = about.get("teachers", {})
    rows: Mapping[str, int] = about.get("labelled", {})
    most = about.get("rows", 0) + about.get("silent", 0)  # where they were not counted
    return [
        cost
        for column, (model, llm) in asked.items()
        for cost in _rows(fitted, column, model, rows.get(column, most), llm)
    ]


def _rows(fitted: Fitted, column: str, model: str, rows: int, llm: str) -> list[tuple[Cost, str]]:
    """What so many rows of a column take, and whose language model does it; nothing where none was ever computed.

    A column that never ran here costs what its model takes elsewhere, which may have read other things.
    """
    for key in (column, model):
        known = fitted.store.cost(key)
        if known is not None and known.rows:
            return [(known.times(rows / known.rows), llm)]
    return []


def _fits(fitted: Fitted) -> list[dict[str, Any]]:
    """What is known of every fit, those on earlier events that other fits were stacked on included."""
    known: dict[str, dict[str, Any]] = {}
    asked = [fitted.states.names[fit.fingerprint] for fit in fitted.outline.fits]
    while asked:
        name = asked.pop()
        if name not in known:
            known[name] = fitted.store.about(name) or {}
            asked += known[name].get("below", [])
    return list(known.values())


def chosen(found: Evaluation, worth: Worth | None, output: str | None, among: Collection[str] | None = None) -> str:
    """The output that is measured: the one that is named, or else the first that the worth is about (of some)."""
    some = {name: measured for name, measured in found.measured.items() if among is None or name in among}
    able = [name for name, measured in some.items() if worth is None or worth.fits(measured)]
    if not able:
        whose = "the graph" if among is None else f"those that read the place ({', '.join(among)})"
        raise DataError(f"no output of {whose} has outcomes that {worth} is about", help=HELP)
    if output is not None and output not in able:
        raise DataError(f"{output!r} is no output that can be measured so", help=listed(able, output))
    name = output or able[0]
    if worth is not None:
        worth.check(found.measured[name], name)
    return name


def check_asked(test: Any, worth: Any, prices: Any, requests: Any, needs_worth: bool = False) -> None:
    """Errors: what a replay is asked with is of another kind."""
    check_data("test", test)
    if not isinstance(worth, Worth) and (needs_worth or worth is not None):
        raise DataError(f"worth={worth!r} says nothing of what outcomes are worth", help=HELP)
    if prices is not None and not isinstance(prices, Prices):
        raise DataError(f"prices={prices!r} are no prices", help="mt.Prices(cpu_hour=0.04)")
    whole = isinstance(requests, (int, np.integer)) and not isinstance(requests, bool)
    if requests is not None and (not whole or requests < 1):
        raise DataError(f"requests={requests!r} is no number of requests", help="requests=1_000_000")


def problems_of(replays: Mapping[str, Evaluation]) -> dict[str, int]:
    """What could not be had while measuring, counted, by the graph it is said of; once where it is so of all."""
    found = {name: replay.problems for name, replay in replays.items()}
    common = set[tuple[str, int]].intersection(*(set(problems.items()) for problems in found.values()))
    said = dict(sorted(common))
    for name, problems in found.items():
        said |= {f"{name}: {why}": n for why, n in problems.items() if (why, n) not in common}
    return said


def amounts_of(fitted: Fitted, test: Data, worth: Worth | None, relevant: Any) -> Array | None:
    """What each asked event would be worth if it is caught, float64 [n]."""
    if worth is None or worth.caught is None:
        return None
    event, context = fitted.outline.event, fitted.context(test)
    rows = asked(context, event, relevant)
    if not isinstance(worth.caught, Column):
        return np.full(len(rows), float(worth.caught))
    if event not in worth.caught.grain:
        raise DataError(f"caught={worth.caught!r} is no number of {event.__name__}", help=HELP)
    _check_known(fitted, test, worth.caught)
    amounts = np.asarray(context.batch(event, rows).value(worth.caught), np.float64)
    for wrong, why in (
        (~np.isfinite(amounts), "missing"),
        (amounts < 0, "below zero"),
        (amounts > MOST, f"above {MOST:g}"),
    ):
        if wrong.any():
            raise DataError(f"{name_of(worth.caught)} is {why} for {int(wrong.sum())} requests", help=HELP)
    return amounts


def _check_known(fitted: Fitted, test: Data, amount: Number) -> None:
    """Errors: a number that reads what the graph has not learnt, or what the data do not bind."""
    read = Outline(amount=amount)
    learnt = [fit.model for fit in read.fits if fit.fingerprint not in fitted.states.values]
    if learnt:
        raise DataError(
            f"{name_of(amount)} is what {learnt[0]} has learnt, and that is no part of the graph",
            help=f"mt.Graph(..., amount={name_of(amount)}), or a field of the event",
        )
    unbound = [record.__name__ for record in read.records if record not in test.tables]
    if unbound:
        raise DataError(f"{name_of(amount)} reads {', '.join(unbound)}, which the data do not bind", help=HELP)


def groups_of(measured: Measured) -> Array | None:
    """Which of the requests that a Worth counts depend on each other."""
    return None if measured.groups is None else measured.groups[measured.counted]


def llms(outline: Outline) -> dict[str, LLM]:
    """The language models that a graph calls, by name; of several of one name one that takes GPUs."""
    nodes = [column.node for column in outline.columns]
    found = [llm for node in nodes if isinstance(node, Apply) and (llm := llm_of(node.model))]
    return {llm.model: llm for llm in sorted(found, key=lambda llm: llm.gpus)}


def llm_name(node: Apply | Fit) -> str:
    """The language model that a call reads and writes by, empty where there is none."""
    return llm_named(node.model)
