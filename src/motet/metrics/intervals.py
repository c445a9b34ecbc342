"""Figures with the interval they are known to.

All intervals here are percentile bootstraps (Efron 1979) with a fixed seed. Rows that depend on each other
(the requests of one viewer) are resampled together: give their group. Where a bootstrap would say too much, since
few rows carry the figure or it is looked at again and again, `offpolicy` and `sequential` have intervals of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError
from motet.metrics.binary import Statistic

Floats = NDArray[np.float64]
Groups = NDArray[Any]

RESAMPLES = 1000
LEVEL = 0.95
SEED = 20260101
ROUNDING = 1e-12  # draws that differ by no more than this part of them are alike
AT_ONCE = 1 << 22
"""Draws that are held in memory together."""


@dataclass(frozen=True)
class Estimate:
    """A figure, the 95 % interval it is known to, and the number of rows it was taken from.

    value is None where there is nothing to measure; low and high are None where nothing says how sure
    it is: of fewer than two independent rows, or of rows that are all alike, which do not tell what others would be.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        if self.value is None:
            return f"no value n={self.n:,}"
        if self.low is None or self.high is None:
            return f"{self.value:.4f} n={self.n:,}"
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}] n={self.n:,}"

    @property
    def sure(self) -> bool:
        """Whether the interval leaves zero out: of a difference, whether its sign is known."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def mean(values: NDArray[Any], groups: Groups | None = None) -> Estimate:
    """The mean of one number per row. groups: [n], equal where rows depend on each other."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).argmax())
        raise DataError(f"the metric of row {row} is {values[row]}", help="leave out rows without a metric")
    if len(values) == 0:
        return Estimate(None, None, None, 0)
    of = _numbered(groups, len(values))
    sums, sizes = np.bincount(of, values), np.bincount(of).astype(np.float64)
    draws = [(counts @ sums) / (counts @ sizes) for counts in _resamples(len(sums))]
    return _estimate(float(values.mean()), np.concatenate(draws) if draws else np.zeros(0), len(values))


def difference(ours: NDArray[Any], theirs: NDArray[Any], groups: Groups | None = None) -> Estimate:
    """Mean of ours minus theirs on the same rows: paired, so what both find hard cancels."""
    if ours.shape != theirs.shape:
        raise DataError(f"{len(ours)} rows against {len(theirs)}", help="compare two systems on the same requests")
    return mean(ours.astype(np.float64) - theirs.astype(np.float64), groups)


def statistic(measure: Statistic, n: int, groups: Groups | None = None) -> Estimate:
    """Any metric of weighted rows: `statistic(auc_of(scores, labels), len(scores))`.

    Resamples on which the metric has no meaning (one class only) are left out; where they are the
    majority there is no interval.
    """
    value = measure(np.ones(n)) if n else None
    if value is None:
        return Estimate(None, None, None, n)
    of = _numbered(groups, n)
    drawn = [measure(row[of]) for counts in _resamples(int(of.max()) + 1) for row in counts]
    kept = np.array([one for one in drawn if one is not None])
    return _estimate(value, kept if 2 * len(kept) > len(drawn) else np.zeros(0), n)


def error_statistic(measure: Statistic, n: int, groups: Groups | None = None) -> Estimate:
    """A metric that is 0 at best and that chance raises, as it does a calibration error of few rows.

    Resamples lie above it by about as much as it lies above the truth, so the interval is the other way round (the
    basic bootstrap), and never below 0. Of a few hundred rows it is rough.
    """
    found = statistic(measure, n, groups)
    if found.value is None or found.low is None or found.high is None:
        return found
    low, high = 2 * found.value - found.high, 2 * found.value - found.low
    return Estimate(found.value, max(0.0, low), max(found.value, high), n)


def statistic_difference(ours: Statistic, theirs: Statistic, n: int, groups: Groups | None = None) -> Estimate:
    """A metric of ours minus the same of theirs, paired: both see the same resampled rows."""

    def gap(weights: Floats) -> float | None:
        a, b = ours(weights), theirs(weights)
        return None if a is None or b is None else a - b

    return statistic(gap, n, groups)


def over_seeds(runs: Sequence[NDArray[Any]], groups: Groups | None = None) -> Estimate:
    """The mean over runs with different seeds on the same requests. n is of requests; the interval is of requests
    and seeds: both are drawn again."""
    if len({run.shape for run in runs}) > 1:
        raise DataError(
            f"runs have {', '.join(str(len(run)) for run in runs)} rows",
            help="every seed answers the same requests",
        )
    if not runs:
        return Estimate(None, None, None, 0)
    whole = mean(np.mean(np.stack(runs), axis=0), groups)
    if len(runs) == 1 or whole.low is None:
        return whole
    of = _numbered(groups, len(runs[0]))
    sums, sizes = np.stack([np.bincount(of, run) for run in runs]), np.bincount(of).astype(np.float64)
    random = np.random.default_rng(SEED)
    draws: list[Floats] = []
    for counts in _resamples(len(sizes)):
        seeds = random.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), len(counts)) / len(runs)
        draws.append((seeds * (counts @ sums.T)).sum(axis=1) / (counts @ sizes))
    assert whole.value is not None
    return _estimate(whole.value, np.concatenate(draws), whole.n)


def standard_error(values: NDArray[Any], groups: Groups | None = None) -> tuple[float | None, int]:
    """The standard error of the mean of rows, and of how many independent groups it is known.

    The mean is a ratio, sums over sizes, so groups may differ in size; it is linearised (delta method, Deng et al.
    2018, arXiv 1803.06336). None of fewer than two groups.
    """
    of, far = _numbered(groups, len(values)), values.astype(np.float64) - values[:1]  # equal rows differ by exactly 0
    away = np.bincount(of, far - far.mean()) if len(values) else np.zeros(0)
    n = len(away)
    return (float(np.sqrt(away @ away * n / (n - 1))) / len(values) if n > 1 else None), n


def _estimate(value: float, draws: Floats, n: int) -> Estimate:
    if len(draws) == 0 or np.ptp(draws) <= ROUNDING * np.abs(draws).max():
        return Estimate(value, None, None, n)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), n)


def _numbered(groups: Groups | None, n: int) -> NDArray[np.int64]:
    if groups is None:
        return np.arange(n)
    if len(groups) != n:
        raise DataError(f"{n} rows have {len(groups)} groups", help="one group a row")
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _resamples(groups: int) -> Iterator[Floats]:
    """How often each group is drawn, float64 [some resamples, groups] at a time; none of fewer than two."""
    random = np.random.default_rng(SEED)
    left = RESAMPLES if groups > 1 else 0
    while left > 0:
        some = min(left, max(1, AT_ONCE // groups))
        drawn = random.integers(0, groups, (some, groups))
        drawn += np.arange(some)[:, None] * groups
        yield np.bincount(drawn.ravel(), minlength=some * groups).reshape(some, groups).astype(np.float64)
        left -= some
