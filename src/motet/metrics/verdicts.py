"""Is a model worth its cost? What it gains over a replay without it, less what it costs more.

Gains of money are harder to be sure of than clicks: most requests gain nothing, and a few large ones of a few viewers
carry the mean. So the interval is Student's t of the jackknife's standard error (a viewer left out at a time; CR3 of
Bell & McCaffrey 2002), with fewer degrees of freedom the fewer viewers carry it (`_degrees`). What else was tried holds
the truth less often, or says less (bench/LOG.md). No interval knows of what a replay has not seen: a model that gains
a little often and loses much with one viewer in 50 may be kept in vain in one replay of ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError
from motet.metrics.distributions import student
from motet.metrics.intervals import LEVEL, Estimate, Floats, Groups
from motet.metrics.sequential import POWER, fewest

Word = Literal["keep", "drop", "only where it pays", "not enough data"]
Slices = Mapping[str, NDArray[np.bool_]]

ROUNDING = 1e-12
"""A standard error below this part of the largest gain and cost is what floats leave of none."""


@dataclass(frozen=True)
class Verdict:
    """What to do about a model, and why.

    net: gain less cost per request, with its interval, of 95 % where no other level was asked for. gain: the same
    without the cost. where: the slices in which it surely pays, where it does not surely pay as a whole. needed: where
    there is not enough data, how many requests in all would tell a net of this size from zero in four of five cases;
    None where no number would, or nothing says.
    """

    word: Word
    net: Estimate
    gain: Estimate
    where: tuple[str, ...] = ()
    needed: int | None = None

    def __str__(self) -> str:
        where = f" ({', '.join(self.where)})" if self.where else ""
        wait = f", {self.needed:,} requests would tell" if self.needed else ""
        return f"{self.word}{where}: net {self.net}, gain {self.gain}{wait}"


def net(gain: NDArray[Any], cost: float | NDArray[Any], groups: Groups | None = None) -> Estimate:
    """What a request gains by the model less what it costs more, and the 95 % interval of that.

    gain: money, value with the model less value without, [n]. cost: money, of each request or one for all. groups:
    [n], equal where requests depend on each other (one viewer's). No interval of fewer than two groups, nor where all
    are alike. Raises DataError of no requests, of money that is no number, of lengths that differ.
    """
    return _mean(*_checked(gain, cost, groups)).within(LEVEL)


def verdict(
    gain: NDArray[Any],
    cost: float | NDArray[Any],
    groups: Groups | None = None,
    slices: Slices | None = None,
    level: float = LEVEL,
) -> Verdict:
    """Whether to keep a model.

    keep: its net is surely above zero. only where it pays: not so as a whole, but in the slices that are named. drop:
    its net is surely below zero, or it costs something and gains surely nothing. Otherwise there is not enough data.

    gain, cost, groups: as of `net`. slices: by name, which requests belong, bool [n]; they may overlap. A model that
    pays nowhere is kept, slices included, in at most 5 % of replays: half of that is for the whole, and half is
    shared by the slices (Bonferroni), so name the few that you could act on. level: of the intervals; for a verdict on
    one of some slices `shared` says it.
    """
    gain, costs, viewers = _checked(gain, cost, groups)
    whole = _mean(gain, costs, viewers)
    of_net, of_gain = whole.within(level), _mean(gain, np.zeros(len(gain)), viewers).within(level)
    where = _paying(gain, costs, viewers, slices or {})
    if of_net.low is not None and of_net.low > 0:
        return Verdict("keep", of_net, of_gain)
    if where:
        return Verdict("only where it pays", of_net, of_gain, where)
    if _below(of_net) or (costs.mean() > 0 and of_gain.high is not None and of_gain.high <= 0):
        return Verdict("drop", of_net, of_gain)
    return Verdict("not enough data", of_net, of_gain, needed=_needed(whole, level))


def shared(slices: int) -> float:
    """The level of the interval of each of so many slices, for all of them to hold in 95 % of replays (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(1, slices)


@dataclass(frozen=True)
class _Mean:
    """A mean of n rows; error is its standard error, None where nothing says it."""

    value: float
    error: float | None
    degrees: float
    n: int

    def within(self, level: float) -> Estimate:
        if self.error is None:
            return Estimate(self.value, None, None, self.n)
        half = student(self.degrees, (1 + level) / 2) * self.error
        return Estimate(self.value, self.value - half, self.value + half, self.n)


def _mean(gain: Floats, costs: Floats, groups: Groups) -> _Mean:
    values, n = gain - costs, len(gain)
    value, of = float(values.mean()), np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(of).astype(np.float64)
    if len(sizes) < 2:
        return _Mean(value, None, 0.0, n)
    squares = (np.bincount(of, values - value) / (n - sizes)) ** 2  # how far the mean moves without each group
    error = float(np.sqrt(squares.sum() * (len(sizes) - 1) / len(sizes)))
    if error <= ROUNDING * float(np.abs(gain).max() + np.abs(costs).max()):
        return _Mean(value, None, 0.0, n)
    return _Mean(value, error, _degrees(squares, sizes), n)


def _degrees(squares: Floats, sizes: Floats) -> float:
    """Degrees of freedom: groups - 1 where all are alike, fewer where few have the rows, or few the spread.

    Both take from them: rows by Kish's count of groups, and spread by Satterthwaite 1946, since n groups of kurtosis k
    know their variance as well as 2 n / (k - 1) normal ones. At least 1.
    """
    n = len(sizes)
    spread = max(1 / _worth(squares) - 1 / n, 2 / n) / 2
    rows = 1 / max(_worth(sizes) - 1, 1.0) - 1 / n
    return max(1.0, 1 / (spread + rows))


def _worth(weights: Floats) -> float:
    """The equally weighted ones that they are worth (Kish 1965)."""
    parts = weights / weights.sum()
    return float(1 / (parts @ parts))


def _paying(gain: Floats, costs: Floats, groups: Groups, slices: Slices) -> tuple[str, ...]:
    """The slices whose net is above zero, surely also in view of how many were looked at."""
    level = shared(len(slices))
    paying: list[str] = []
    for name, rows in slices.items():
        if rows.shape != gain.shape or rows.dtype != np.bool_:
            raise DataError(
                f"slice {name!r} is {rows.dtype} {list(rows.shape)} of {len(gain)} requests",
                help="a slice is an array of bool, one a request",
            )
        if rows.any():
            found = _mean(gain[rows], costs[rows], groups[rows]).within(level)
            paying += [name] if found.low is not None and found.low > 0 else []
    return tuple(paying)


def _needed(found: _Mean, level: float) -> int | None:
    """Rows in all; the error falls with their root, and what carries it grows with them."""
    value, error = found.value, found.error
    if not value or error is None:
        return None

    def enough(rows: int) -> bool:
        grown = rows / found.n
        errors = student(found.degrees * grown, (1 + level) / 2) + NormalDist().inv_cdf(POWER)
        return abs(value) >= errors * error / grown**0.5

    return fewest(enough, found.n)


def _below(found: Estimate) -> bool:
    return found.high is not None and found.high < 0


def _checked(gain: NDArray[Any], cost: float | NDArray[Any], groups: Groups | None) -> tuple[Floats, Floats, Groups]:
    """Gain, cost and the number of the group of each request: float64, float64, int64 [n]."""
    if gain.ndim != 1:
        raise DataError(f"gain is {list(gain.shape)}, not a row a request", help="a verdict is on requests replayed")
    if len(gain) == 0:
        raise DataError("no request has a known outcome, so nothing can be weighed", help="split earlier: at=")
    gain = gain.astype(np.float64)
    costs = np.full(len(gain), cost, np.float64) if np.ndim(cost) == 0 else np.asarray(cost, np.float64)
    for name, column in (("costs", costs), ("groups", groups)):
        if column is not None and column.shape != gain.shape:
            raise DataError(f"{len(gain)} gains have {list(column.shape)} {name}", help="one a request")
    for name, money in (("gain", gain), ("cost", costs)):
        if not np.isfinite(money).all():
            row = int((~np.isfinite(money)).argmax())
            raise DataError(f"the {name} of request {row} is {money[row]}", help="leave out requests without a value")
    numbered = np.arange(len(gain)) if groups is None else np.unique(groups, return_inverse=True)[1]
    return gain, costs, numbered
