"""What each model of a graph brings and costs, against what is declared to stand in for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table as Grid

from motet.batch import Array
from motet.bills import PER, Bill, amounts_of, billed, chosen, groups_of, llms, replayed
from motet.data import Data
from motet.errors import DataError
from motet.evaluation import Answered, Evaluation, Measured
from motet.metrics.intervals import Estimate
from motet.metrics.verdicts import Verdict, verdict
from motet.node import upstream
from motet.outline import Outline
from motet.places import Place, places
from motet.printed import money, printed
from motet.worth import Prices, Worth

if TYPE_CHECKING:
    from motet.fitted import Fitted

OTHERWISE = "say what stands in for one: taste.otherwise(popular), or meaning.otherwise(None)"
Refit = Callable[[Outline], "Fitted"]


@dataclass(frozen=True)
class Return:
    """One optional model. ours, theirs: the metric with it and with what stands in for it, everything above it fitted
    anew; difference: paired over the same n requests. cost: what it costs more. verdict: None without a Worth."""

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


@dataclass(frozen=True)
class Returns:
    """What each optional model returns, replayed on n requests: a benefit in replay, never revenue.

    unmeasured: places that no measured output reads.
    """

    rows: tuple[Return, ...]
    bill: Bill
    n: int
    amortised: int
    unmeasured: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        heads = ("model", "instead of", "metric", "with", "without", "difference", "cost", "prepared", "live")
        grid = Grid(box=None, pad_edge=False, header_style="bold")
        for name in (*heads, "value", "net", "verdict"):
            grid.add_column(name, no_wrap=True)
        for row in self.rows:
            grid.add_row(*_cells(row))
        spread = f"what is prepared is spread over {self.amortised:,}"
        said = f"n={self.n:,} requests replayed; money per {PER:,} requests; {spread}"
        left = [f"no measured output reads {name}" for name in self.unmeasured]
        return "\n".join([*printed(grid, width=240), "", said, *left])


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
    priced = prices or Prices()
    priced.check(llms(fitted.outline))
    ours, spent = replayed(fitted, test, relevant)
    measured = chosen(ours, worth, output)
    amounts = amounts_of(fitted, test, worth, relevant)
    lasting = requests or ours.n
    bill = billed(fitted, spent, priced, ours.n, lasting)
    rows: list[Return] = []
    beside: list[str] = []
    for place in optional(fitted.outline):
        if place.at not in upstream((fitted.outline.answered[measured],)):
            beside.append(place.name)
            continue
        assert place.instead is not None
        other = refit(fitted.outline.rewritten({place.at.fingerprint: place.instead.node}))
        theirs, less = replayed(other, test, relevant)
        more = bill - billed(other, less, priced, theirs.n, lasting)
        rows.append(_row(place, measured, ours, theirs, more, worth, amounts))
    if not rows:
        raise DataError(f"{measured!r} reads no optional model", help=OTHERWISE)
    return Returns(tuple(rows), bill, ours.n, lasting, tuple(beside))


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
    shown = ours.main(output)
    gap = next(f for f in ours.against(theirs) if (f.output, f.slice, f.metric) == (output, "all", shown.metric))
    decided = None
    if worth is not None:
        gain = worth.each(one, amounts) - worth.each(other, amounts)
        decided = verdict(PER * gain, more.total, groups_of(one), _slices(one))
    without = theirs.figure(output, shown.metric)
    names = place.name, place.strong, place.cheap, output, shown.metric
    return Return(*names, shown.estimate, without, gap.estimate, more, decided)


def _slices(measured: Measured) -> Mapping[str, Array] | None:
    if not isinstance(measured, Answered):
        return None
    return {name: rows for name, rows in measured.slices().items() if name != "all" and rows.any()}


def _cells(row: Return) -> list[str]:
    decided = row.verdict
    said = [row.strong, row.cheap, f"{row.output} {row.metric}", _short(row.ours), _short(row.theirs)]
    said += [str(row.difference), *(f"{money:.4g}" for money in (row.cost.total, row.cost.prepared, row.cost.live))]
    if decided is None:
        return [*said, "", "", ""]
    where = f" ({', '.join(decided.where)})" if decided.where else ""
    needed = f", {decided.needed:,} requests would tell" if decided.needed else ""
    return [*said, money(decided.gain), money(decided.net), f"{decided.word}{where}{needed}"]


def _short(figure: Estimate) -> str:
    return "" if figure.value is None else f"{figure.value:.4f}"
