"""What each model of a graph brings and costs, against what is declared to stand in for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table as Grid

from motet.batch import Array
from motet.data import Data
from motet.errors import DataError
from motet.evaluate import target_of
from motet.evaluation import Answered, Evaluation, Measured, compared
from motet.metrics.intervals import Estimate
from motet.metrics.verdicts import Verdict, shared, verdict
from motet.node import check_outcomes, item_of, upstream
from motet.outline import Outline
from motet.places import Place, places
from motet.printed import amount, money, printed, warned
from motet.returns.bills import (
    PER,
    Bill,
    alike,
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

OTHERWISE = "say what stands in for one: taste.otherwise(popular), or meaning.otherwise(None)"
Refit = Callable[[Outline], "Fitted"]


@dataclass(frozen=True)
class Slice:
    """One optional model on some of the requests alone, as `Return` says it of all. verdict: its intervals are wide
    enough for those of all slices to hold together in 95 % of replays."""

    name: str
    ours: Estimate
    theirs: Estimate
    difference: Estimate
    verdict: Verdict | None


@dataclass(frozen=True)
class Return:
    """One optional model. ours, theirs: the metric with it and with what stands in for it, everything above it fitted
    anew; difference: paired over the same n requests. cost: what it costs more. verdict: None without a Worth.
    slices: where the output ranks items, the requests for what had happened in training (warm) and for what had not."""

    place: str
    strong: str
    cheap: str
    output: str
    metric: str
    ours: Estimate
    theirs: Estimate
    difference: Estimate
    cost: Bill
    verdict: Verdict | None
    slices: tuple[Slice, ...] = ()


@dataclass(frozen=True)
class Returns:
    """What each optional model returns, replayed on n requests: a benefit in replay, never revenue.

    unmeasured: places that no measured output reads. problems: what could not be had while measuring, counted.
    """

    rows: tuple[Return, ...]
    bill: Bill
    n: int
    amortised: int
    unmeasured: tuple[str, ...] = ()
    problems: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for name in ("model", "instead of", "requests", "n", "with", "without", "difference"):
            grid.add_column(name, no_wrap=True, justify="right" if name == "n" else "left")
        for name in ("prepared", "live", "value", "net", "verdict"):
            grid.add_column(name, no_wrap=True)
        for row in self.rows:
            costs = amount(row.cost.prepared), amount(row.cost.live)
            grid.add_row(row.strong, row.cheap, "all", *_figures(row), *costs, *_decided(row.verdict))
            for part in row.slices:
                grid.add_row("", "", part.name, *_figures(part), "", "", *_decided(part.verdict))
        measured = f"{self.rows[0].metric} of {self.rows[0].output}"
        said = [f"with, without: {measured}; n={self.n:,} requests replayed; intervals of 95 %"]
        if any(row.slices for row in self.rows):
            said.append("slices: the intervals of a model's nets hold for all of them at once")
        said.append(f"money per {PER:,} requests; what is prepared is spread over {self.amortised:,}")
        left = [f"no measured output reads {name}" for name in self.unmeasured]
        free = unpriced(self.bill.total)
        return "\n".join([*printed(grid), "", *said, *free, *left, *warned(self.problems)])


def optional(outline: Outline) -> list[Place]:
    """The places where something else is declared to stand in. Errors: there is none."""
    found = [place for place in places(outline) if place.instead is not None]
    if not found:
        raise DataError("no model of this graph is optional", help=OTHERWISE)
    return found


def returns(
    fitted: Fitted,
    refit: Refit,
    test: Data,
    worth: Worth | None = None,
    prices: Prices | None = None,
    *,
    output: str | None = None,
    relevant: Any = None,
    requests: int | None = None,
) -> Returns:
    """Measures the graph, and once more without each of its optional models. refit: fits another outline on the data
    that `fitted` was fitted on. The rest is as `Fitted.returns` says."""
    check_asked(test, worth, prices, requests)
    priced = prices or Prices()
    priced.check(llms(fitted.outline))
    amounts = amounts_of(fitted, test, worth, relevant)
    ours, spent = replayed(fitted, test, relevant)
    measured = chosen(ours, worth, output)
    lasting = requests or ours.n
    bill = billed(fitted, spent, priced, ours.n, lasting)
    rows: list[Return] = []
    beside: list[str] = []
    replays = {"all models": ours}
    for place in optional(fitted.outline):
        if place.at not in upstream((fitted.outline.answered[measured],)):
            beside.append(place.name)
            continue
        assert place.instead is not None
        _check_measured(fitted.outline, place, measured)
        other = refit(fitted.outline.rewritten({place.at.fingerprint: place.instead.node}))
        theirs, less = replayed(other, test, relevant)
        replays[f"without {place.strong}"] = theirs
        # Ours once more: what columns cost on average has changed with this replay, and alike for both.
        now = billed(fitted, spent, priced, ours.n, lasting)
        more = now - billed(other, alike(spent, less), priced, theirs.n, lasting)
        rows.append(_row(place, measured, ours, theirs, more, worth, amounts))
    if not rows:
        raise DataError(f"{measured!r} reads no optional model", help=_reading(fitted.outline, ours, worth))
    return Returns(tuple(rows), bill, ours.n, lasting, tuple(beside), problems_of(replays))


def _reading(outline: Outline, found: Evaluation, worth: Worth | None) -> str:
    """What to write where the output that is measured reads no optional model: an output that does, if there is one."""
    places = {place.at.fingerprint for place in optional(outline)}
    for name, measured in found.measured.items():
        read = {column.fingerprint for column in upstream((outline.answered[name],))}
        if read & places and (worth is None or worth.fits(measured)):
            return f"measure one that does: output={name!r}, --output {name}"
    return OTHERWISE


def _check_measured(outline: Outline, place: Place, output: str) -> None:
    """Errors: without the model nothing is answered that could be measured, or what predicts another outcome."""
    assert place.instead is not None
    left = outline.rewritten({place.at.fingerprint: place.instead.node}).answered[output]
    check_outcomes(outline.answered[output], left)
    if item_of(left.grain) is None and target_of(left) is None:
        raise DataError(
            f"without {place.strong} nothing is left of {output!r} that could be measured",
            help=f"say what answers instead: {place.strong}.otherwise(cheap)",
        )


def _row(
    place: Place,
    output: str,
    ours: Evaluation,
    theirs: Evaluation,
    more: Bill,
    worth: Worth | None,
    amounts: Array | None,
) -> Return:
    one, other = ours.measured[output], theirs.measured[output]
    here, there = (Evaluation({output: side}, ours.n) for side in compared(one, other))
    metric = here.main(output).metric
    gaps = {f.slice: f.estimate for f in here.against(there) if f.metric == metric}
    slices = _slices(one)
    gain = None if worth is None else PER * (worth.each(one, amounts) - worth.each(other, amounts))
    groups = groups_of(one)

    def figures(name: str) -> tuple[Estimate, Estimate, Estimate]:
        return here.figure(output, metric, name), there.figure(output, metric, name), gaps[name]

    def of(name: str, rows: Array) -> Slice:
        decided = None
        if gain is not None:
            some = None if groups is None else groups[rows]
            decided = verdict(gain[rows], more.total, some, level=shared(len(slices)))
        return Slice(name, *figures(name), decided)

    whole = None if gain is None else verdict(gain, more.total, groups, slices)
    parts = tuple(of(name, rows) for name, rows in slices.items())
    names = place.name, place.strong, place.cheap, output, metric
    return Return(*names, *figures("all"), more, whole, parts)


def _slices(measured: Measured) -> Mapping[str, Array]:
    if not isinstance(measured, Answered):
        return {}
    return {name: rows for name, rows in measured.slices().items() if rows.any() and not rows.all()}


def _figures(row: Return | Slice) -> list[str]:
    gap = row.difference
    return [f"{gap.n:,}", _short(row.ours.value), _short(row.theirs.value), _paired(gap)]


def _decided(found: Verdict | None) -> list[str]:
    if found is None:
        return ["", "", ""]
    where = f" ({', '.join(found.where)})" if found.where else ""
    needed = f", {found.needed:,} would tell" if found.needed else ""
    return [amount(found.gain.value), money(found.net), f"{found.word}{where}{needed}"]


def _paired(gap: Estimate) -> str:
    """A difference and its interval, where it is known."""
    interval = "" if gap.low is None else f" [{_short(gap.low)}, {_short(gap.high)}]"
    return f"{_short(gap.value)}{interval}"


def _short(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.4f}"
