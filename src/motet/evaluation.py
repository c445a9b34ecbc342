"""What an evaluation found: one figure per output, slice and metric, each with its interval and n."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from motet.batch import Array, Codes
from motet.errors import DataError
from motet.metrics import binary, intervals, ranking, regression
from motet.metrics.intervals import Estimate


@dataclass(frozen=True)
class Figure:
    output: str
    slice: str
    metric: str
    estimate: Estimate


@dataclass(frozen=True)
class Answered:
    """How an output ranked what happened, which is a miss where nothing did. ranks: [n], cold: [n] whether it never
    happened in training.

    groups: [n], equal where requests depend on each other. depth: how many items an answer has at most; a metric that
    looks further would be one of another depth.
    """

    ranks: Array
    groups: Array | None
    cold: Array
    depth: int

    @property
    def counted(self) -> Array:
        """Requests that money is counted of: all."""
        return np.ones(len(self.ranks), bool)

    def slices(self) -> dict[str, Array]:
        return {"all": self.counted, "warm": ~self.cold, "cold": self.cold}

    def figures(self, output: str) -> list[Figure]:
        return [
            Figure(output, name, metric, intervals.mean(measure(self.ranks[rows]), _of(self.groups, rows)))
            for name, rows in self.slices().items()
            for metric, measure in self.measures().items()
        ]

    def measures(self) -> dict[str, Callable[[Array], Array]]:
        """Metrics of one request each, that look no further than an answer goes."""
        k = min(10, self.depth)
        shallow: dict[str, Callable[[Array], Array]] = {
            f"NDCG@{k}": lambda ranks: ranking.ndcg(ranks, k),
            f"hit rate@{k}": lambda ranks: ranking.hit_rate(ranks, k),
            "MRR": ranking.mrr,
        }
        deep: dict[str, Callable[[Array], Array]] = {"recall@100": lambda ranks: ranking.recall(ranks, 100)}
        return shallow | (deep if self.depth >= 100 else {})

    def against(self, other: Answered, output: str) -> list[Figure]:
        return [
            Figure(
                output,
                name,
                metric,
                intervals.difference(measure(self.ranks[rows]), measure(other.ranks[rows]), _of(self.groups, rows)),
            )
            for name, rows in self.slices().items()
            for metric, measure in self.measures().items()
        ]


@dataclass(frozen=True)
class Predicted:
    """What an output predicted, float64 [n], and what came, float64 [n], NaN where it is not known."""

    predicted: Array
    outcome: Array
    groups: Array | None

    @cached_property
    def known(self) -> Array:
        return np.isfinite(self.outcome) & np.isfinite(self.predicted)

    @cached_property
    def counted(self) -> Array:
        """Requests that money is counted of: where no prediction was made for a known outcome, nothing was flagged."""
        return np.isfinite(self.outcome)

    @cached_property
    def is_binary(self) -> bool:
        return bool(np.isin(self.outcome[self.counted], (0.0, 1.0)).all())

    def statistics(self) -> dict[str, binary.Statistic]:
        said, came = self.predicted[self.known], self.outcome[self.known]
        if not self.is_binary:
            return {"RMSE": regression.rmse_of(said, came)}
        measures = {
            "AUC": binary.auc_of(said, came),
            "average precision": binary.average_precision_of(said, came),
        }
        if len(said) and said.min() >= 0 and said.max() <= 1:
            losses = binary.log_losses(said, came)
            measures["log loss"] = lambda weights: float(weights @ losses / weights.sum())
            measures["calibration error"] = binary.calibration_error_of(said, came)
        return measures

    def figures(self, output: str) -> list[Figure]:
        n, groups = int(self.known.sum()), _of(self.groups, self.known)
        return [
            Figure(output, "all", metric, self._interval(metric)(measure, n, groups))
            for metric, measure in self.statistics().items()
        ]

    def _interval(self, metric: str) -> Callable[[binary.Statistic, int, Array | None], Estimate]:
        return intervals.error_statistic if metric == "calibration error" else intervals.statistic

    def against(self, other: Predicted, output: str) -> list[Figure]:
        _check_same(output, self.known, other.known)
        n, groups, theirs = int(self.known.sum()), _of(self.groups, self.known), other.statistics()
        return [
            Figure(output, "all", metric, intervals.statistic_difference(measure, theirs[metric], n, groups))
            for metric, measure in self.statistics().items()
            if metric in theirs
        ]


@dataclass(frozen=True)
class Labels:
    """Which label an output gave, and which one came: [n] each, missing where there is none.

    Where a label came and none was given, that is wrong, or a model would gain by falling silent.
    """

    said: Codes
    came: Codes
    groups: Array | None

    @cached_property
    def known(self) -> Array:
        return self.came.codes >= 0

    @property
    def counted(self) -> Array:
        """Requests that money is counted of."""
        return self.known

    @cached_property
    def right(self) -> Array:
        return self.known & (self.said.coded_by(self.came.names) == self.came.codes)

    @cached_property
    def unheard(self) -> Array:
        """Rows whose label is none that the output can give: it was not among those learnt, or is spelt otherwise."""
        return self.known & (self.came.coded_by(self.said.names) < 0)

    def figures(self, output: str) -> list[Figure]:
        estimate = intervals.mean(self.right[self.known], _of(self.groups, self.known))
        return [Figure(output, "all", "accuracy", estimate)]

    def against(self, other: Labels, output: str) -> list[Figure]:
        _check_same(output, self.known, other.known)
        ours, theirs = self.right[self.known], other.right[self.known]
        gap = intervals.difference(ours, theirs, _of(self.groups, self.known))
        return [Figure(output, "all", "accuracy", gap)]


Measured: TypeAlias = Answered | Predicted | Labels


def compared(one: Measured, other: Measured) -> tuple[Measured, Measured]:
    """Both on the requests that metrics compare them by: of numbers, those for which both say one."""
    if not isinstance(one, Predicted) or not isinstance(other, Predicted):
        return one, other
    outcome = np.where(one.known & other.known, one.outcome, np.nan)
    return replace(one, outcome=outcome), replace(other, outcome=outcome)


@dataclass(frozen=True)
class Evaluation:
    """What was measured on `n` requests. problems: what could not be had while measuring, counted.

    groups: [n], equal where requests depend on each other. beside: what columns said that were asked for besides.
    """

    measured: Mapping[str, Measured]
    n: int
    problems: Mapping[str, int] = field(default_factory=dict[str, int])
    groups: Array | None = None
    beside: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def figures(self) -> list[Figure]:
        return [figure for name, output in self.measured.items() for figure in output.figures(name)]

    def figure(self, output: str, metric: str, slice: str = "all") -> Estimate:
        """One figure. Errors: it was not measured."""
        for f in self.figures:
            if (f.output, f.metric, f.slice) == (output, metric, slice):
                return f.estimate
        known = ", ".join(sorted({f"{f.output} {f.metric} {f.slice}" for f in self.figures}))
        raise DataError(f"{output} {metric} {slice} was not measured", help=f"there are: {known}")

    def main(self, output: str) -> Figure:
        """The first metric of an output, over all requests: what it is known by."""
        return next(figure for figure in self.figures if figure.output == output)

    def against(self, other: Evaluation) -> list[Figure]:
        """Ours minus theirs for every output that both have, paired over the same requests."""
        if self.n != other.n:
            raise DataError(f"{self.n} requests against {other.n}", help="evaluate both on the same test part")
        found: list[Figure] = []
        for name, ours in self.measured.items():
            theirs = other.measured.get(name)
            match ours, theirs:
                case Answered(), Answered():
                    found += ours.against(theirs, name)
                case Predicted(), Predicted():
                    found += ours.against(theirs, name)
                case Labels(), Labels():
                    found += ours.against(theirs, name)
                case _:
                    continue
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"n": self.n, "figures": [asdict(f) for f in self.figures], "problems": dict(self.problems)}

    def __str__(self) -> str:
        return "\n".join([table(self.figures), *(f"{n} x {why}" for why, n in self.problems.items())])


def table(figures: list[Figure]) -> str:
    """Figures as aligned text, one a line."""
    rows = [(f.output, f.slice, f.metric, str(f.estimate)) for f in figures]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows
    )


def _check_same(output: str, ours: Array, theirs: Array) -> None:
    if not np.array_equal(ours, theirs):
        raise DataError(
            f"{output!r} is not known for the same requests on both sides",
            help="answer the same requests",
        )


def _of(groups: Array | None, rows: Array) -> Array | None:
    return None if groups is None else groups[rows]
