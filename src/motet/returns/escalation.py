"""What an escalation buys: quality over the share of requests that the strong model is asked about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table as Grid

from motet.apply import Apply, Fit
from motet.batch import Array, Codes, concat
from motet.cost import Cost
from motet.data import Data
from motet.errors import DataError, listed
from motet.escalate import Allowance, Escalate
from motet.evaluate import BLOCK, asked, doubts, groups_by
from motet.evaluation import Labels
from motet.metrics import binary, intervals
from motet.metrics.intervals import Estimate, Floats
from motet.node import Column, upstream
from motet.outline import Outline
from motet.printed import printed, warned
from motet.returns.bills import PER, check_asked, forget, llm_name, llms, unpriced
from motet.returns.worth import Prices

if TYPE_CHECKING:
    from motet.fitted import Fitted

BUDGETS = tuple(step / 20 for step in range(21))
ROUNDING = 1e-9  # of requests: 0.35 of 100 are 35
SHOWN = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
HELP = "label = cheap.escalate(strong, budget=0.2); mt.Graph(label=label)"


@dataclass(frozen=True)
class Point:
    """One budget, None where a price decides. asked: the share of requests that the strong model is asked about.
    quality: the share that is answered right. margin: what that is above asking about as many at random, over the same
    requests. cost: money per 1,000 requests."""

    budget: float | None
    asked: float
    quality: Estimate
    margin: Estimate
    cost: float


@dataclass(frozen=True)
class Escalation:
    """What one escalation buys, replayed on n requests.

    own: the escalation as it is declared, at its price or its budget, where the requests come one by one; points:
    what the best so many of them by rank would bring. cheap, strong: the share that each answers right alone, and
    cheap_cost, strong_cost: what that costs per 1,000 requests, live. gap: by how much the strong one is righter, on
    the same requests. area: the margin over random escalation, averaged over all budgets. equal_share: the least
    share of requests that the strong model must be asked about so that as many answers are right as with it alone;
    cost_saved: the part of its cost that is saved so. calibration_error: how far the router's probabilities that the
    cheap model is right are from what came, expected (15 bins). problems: what could not be had while measuring,
    counted.
    """

    name: str
    cheap_name: str
    strong_name: str
    cheap: Estimate
    strong: Estimate
    gap: Estimate
    cheap_cost: float
    strong_cost: float
    own: Point
    points: tuple[Point, ...]
    area: Estimate
    equal_share: Estimate
    cost_saved: Estimate
    calibration_error: Estimate
    n: int
    problems: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def worst(self) -> Estimate:
        """The margin over random escalation at the budget where it is least."""
        asked = [point.margin for point in self.points if point.asked > 0]
        return min(asked, key=lambda margin: margin.value or 0.0, default=self.points[0].margin)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"worst_margin_over_random": asdict(self.worst)}

    def __str__(self) -> str:
        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for name in ("", "budget", "asked", "right", "above random", f"cost of {PER:,}"):
            grid.add_column(name, no_wrap=True)
        for point in (self.own, *(point for point in self.points if point.budget in SHOWN)):
            budget = "its price" if point.budget is None else f"{point.budget:.0%}"
            said = str(point.quality), str(point.margin), f"{point.cost:.4g}"
            grid.add_row("->" if point is self.own else "", budget, f"{point.asked:.1%}", *said)
        alone = ((self.cheap_name, self.cheap, self.cheap_cost), (self.strong_name, self.strong, self.strong_cost))
        return "\n".join(
            [
                *(f"{name} alone: right {right}, {PER:,} cost {cost:.4g}" for name, right, cost in alone),
                *printed(grid),
                *self._equal(),
                f"above random escalation by {self.area} on average over all budgets, at worst by {self.worst}",
                self._calibrated(),
                *self._rest(),
                *unpriced(self.cheap_cost, self.strong_cost),
                *warned(self.problems),
            ]
        )

    @property
    def _most(self) -> float:
        """The share of requests that the largest budget asks about."""
        return max(point.asked for point in self.points)

    def _calibrated(self) -> str:
        known = self.calibration_error.low is not None
        return f"calibration error {self.calibration_error if known else 'not known: not enough data'}"

    def _rest(self) -> list[str]:
        gain = f"about {1 - self._most:.1%} of the requests {self.strong_name} is expected to gain nothing"
        return [f"{gain}: no budget asks about those"] if self._most < 1 else []

    def _equal(self) -> list[str]:
        if not self.gap.sure:
            return [f"not enough data: these requests do not tell {self.strong_name} from {self.cheap_name}"]
        if (self.gap.value or 0) < 0:
            return [f"{self.strong_name} is no better than {self.cheap_name} here"]
        if self.equal_share.value == 1.0 and self._most < 1:
            return [f"at no budget as good as {self.strong_name} alone"]
        if self.equal_share.value == 1.0:
            return [f"as good as {self.strong_name} alone only where it is asked about all of the requests"]
        part = self.cost_saved.value
        does = "costs more: it saves" if part is not None and part < 0 else "saves"
        saved = [] if part is None else [f"which {does} {self.cost_saved} of its cost"]
        return [
            f"as good as {self.strong_name} alone where it is asked about {self.equal_share} of the requests",
            *saved,
        ]


@dataclass(frozen=True)
class _Replay:
    """What each request would be answered. cheap, strong: 1.0 where that is right, float64 [n]. order: by the router,
    those that gain most first; worth: how many of these are expected to gain; own: which the escalation asks about,
    bool [n]. chance: that the cheap one is right. groups: [n], equal where requests depend on each other."""

    cheap: Floats
    strong: Floats
    order: Array
    worth: int
    own: Array
    chance: Floats
    groups: Array | None


@dataclass(frozen=True)
class _Prices:
    """Money per request: of the cheap model alone, of it and the router, of the strong one besides, of the strong one
    alone."""

    alone: float
    cheap: float
    more: float
    strong: float


def escalation(fitted: Fitted, test: Data, prices: Prices, name: str | None) -> Escalation:
    """The rest is as `Fitted.escalation` says."""
    check_asked(test, None, prices, None)
    place = escalated(fitted.outline, name)
    node = place.node
    assert isinstance(node, Escalate)
    prices.check(llms(fitted.outline))
    names = fitted.outline.name(node.cheap), fitted.outline.name(node.strong)
    seen, money, problems = _replayed(fitted, node, test, prices, names)
    points = tuple(_point(seen, money, budget, _taken(seen, budget)) for budget in BUDGETS)
    own = _point(seen, money, node.budget, seen.own)
    gained = [_margin(seen, _taken(seen, budget)) for budget in BUDGETS]
    area = intervals.mean(np.asarray(np.trapezoid(np.stack(gained), BUDGETS, axis=0)), seen.groups)
    n = len(seen.cheap)
    share = _equal(seen)

    def saved(weights: Floats) -> float | None:
        part = share(weights)
        return None if part is None or money.strong == 0 else 1 - (money.cheap + part * money.more) / money.strong

    error = binary.calibration_error_of(seen.chance, seen.cheap)
    return Escalation(
        fitted.outline.name(place),
        *names,
        intervals.mean(seen.cheap, seen.groups),
        intervals.mean(seen.strong, seen.groups),
        intervals.difference(seen.strong, seen.cheap, seen.groups),
        PER * money.alone,
        PER * money.strong,
        own,
        points,
        area,
        intervals.statistic(share, n, seen.groups),
        intervals.statistic(saved, n, seen.groups),
        intervals.error_statistic(error, n, seen.groups),
        n,
        problems,
    )


def escalated(outline: Outline, name: str | None) -> Column:
    """The column that is escalated, by its name where there are several. Errors: there is none such."""
    found = {outline.name(c): c for c in outline.columns if isinstance(c.node, Escalate)}
    if not found:
        raise DataError("nothing is escalated in this graph", help=HELP)
    if name is None and len(found) > 1:
        raise DataError(f"the graph escalates in {len(found)} places", help=f"name one of {', '.join(found)}")
    if name is not None and name not in found:
        raise DataError(f"nothing that is called {name!r} is escalated", help=listed(found, name))
    return next(iter(found.values())) if name is None else found[name]


def _replayed(
    fitted: Fitted, node: Escalate, test: Data, prices: Prices, names: tuple[str, str]
) -> tuple[_Replay, _Prices, dict[str, int]]:
    """Asks both models about every request, meters what that takes, and counts what could not be had."""
    target, event = node.outcome, fitted.outline.event
    assert target is not None
    spent: dict[str, float] = {}

    def told(of: Apply | Fit, cost: Cost) -> None:
        if isinstance(of, Apply):
            spent[of.fingerprint] = spent.get(of.fingerprint, 0.0) + prices.of(cost, llm_name(of))

    forget(fitted.outline)
    context = fitted.context(test, spent=told)
    rows = asked(context, event, None)
    said: dict[str, list[Any]] = {"cheap": [], "strong": [], "odds": []}
    with fitted.progress.bar("both models") as tick:
        for low in range(0, len(rows), BLOCK):
            run = context.batch(event, rows[low : low + BLOCK])
            for name, column in (("cheap", node.cheap), ("odds", node.odds), ("strong", node.strong)):
                said[name].append(run.value(column))
            tick(min(low + BLOCK, len(rows)), len(rows), "requests replayed")
    whole = context.batch(event, rows)
    came: Codes = whole.value(target)
    known = np.flatnonzero(came.codes >= 0)
    if not len(known):
        raise DataError(f"none of {len(rows)} requests has a known outcome", help="split earlier, or give later events")
    groups = groups_by(whole, event)
    sides = [Labels(concat(said[side]), came, groups) for side in ("cheap", "strong")]
    cheap, strong = (side.right[known].astype(np.float64) for side in sides)
    asked_about = _own(node, concat(said["odds"]))[known]
    odds = {name: part[known] for name, part in concat(said["odds"]).items()}
    order = np.argsort(odds["rank"] + 2.0 * (odds["gain"] <= 0), kind="stable")
    kept = None if groups is None else groups[known]
    worth = int((odds["gain"] > 0).sum())
    seen = _Replay(cheap, strong, order, worth, asked_about, odds["cheap"], kept)
    problems = doubts(dict(zip(names, sides, strict=True)), rows, event, context, fitted.train)
    return seen, _shared(node, spent, len(rows)), problems


def _shared(node: Escalate, spent: dict[str, float], n: int) -> _Prices:
    """What is spent by which part; what both models read is paid for once."""

    def read(*columns: Column) -> set[str]:
        return {column.fingerprint for column in upstream(columns, fits=False)}

    def total(names: set[str]) -> float:
        return sum(spent.get(name, 0.0) for name in names) / n

    cheap, strong = read(node.cheap, node.odds), read(node.strong)
    return _Prices(total(read(node.cheap)), total(cheap), total(strong - cheap), total(strong))


def _own(node: Escalate, odds: Mapping[str, Array]) -> Array:
    """Which requests the strong model is asked about where they come one by one, bool [n]."""
    if node.budget is None:
        return np.asarray(odds["gain"] > node.price)
    allowance = Allowance(node.budget)
    each = zip(odds["rank"][:, None], odds["gain"][:, None] > 0, strict=True)
    return np.concatenate([allowance.granted(rank, worth) for rank, worth in each])


def _taken(seen: _Replay, budget: float) -> Array:
    """The best requests by rank, as many as the budget allows, bool [n]."""
    found = np.zeros(len(seen.cheap), np.bool_)
    found[seen.order[: min(seen.worth, int(budget * len(found) + ROUNDING))]] = True
    return found


def _margin(seen: _Replay, taken: Array) -> Floats:
    """What each request gains over being one of as many that were drawn at random."""
    return (taken - taken.mean()) * (seen.strong - seen.cheap)


def _point(seen: _Replay, money: _Prices, budget: float | None, taken: Array) -> Point:
    quality = intervals.mean(np.where(taken, seen.strong, seen.cheap), seen.groups)
    margin = intervals.mean(_margin(seen, taken), seen.groups)
    share = float(taken.mean())
    return Point(budget, share, quality, margin, PER * (money.cheap + share * money.more))


def _equal(seen: _Replay) -> Callable[[Floats], float | None]:
    """The least share of weighted requests, the best first, at which as much is right as with the strong model."""
    gap = (seen.strong - seen.cheap)[seen.order]

    def share(weights: Floats) -> float | None:
        mine = weights[seen.order]
        gained = np.concatenate([[0.0], np.cumsum(mine * gap)[: seen.worth]])
        enough = np.flatnonzero(gained >= mine @ gap - 1e-9)
        if not len(enough):
            return 1.0
        return float(mine[: enough[0]].sum() / mine.sum())

    return share
