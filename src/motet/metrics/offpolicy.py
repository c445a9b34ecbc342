"""What a policy would have earned, estimated from the log of another one.

A log says what was done, how likely that was (its propensity) and what came of it. Each row counts for the
evaluated policy by its weight: how much likelier that policy would have done the same.

Intervals. Where rewards are rare, few rows carry an estimate, and how far it may be off depends on the heavy rows
that were not rewarded this time. Those count for nothing in a bootstrap: its 95 % intervals hold the truth in 71 to
84 % of logs like the Open Bandit's (bench/offpolicy.py), and no correction for skewness mends that (bench/LOG.md). So
each estimate gets the score interval of a share (Wilson 1927) at the number of rows that it is worth (Kish 1965; for
shares of clustered surveys Korn & Graubard 1998). That number follows from the larger of two variances: the measured
one, clustered, and the one that the weights imply where heavy rows are rewarded as often as light ones. What of it is
the weights' own, and stays where every row is rewarded, is added as it is. An estimate beyond the span is held by its
interval all the same, which reaches to it. It holds the
truth in 98 to 99 % of the same logs, in 94 to 99 % of denser and milder ones, and says something also where no row was
rewarded. Where rewards grow in proportion to weights it may hold it in no more than 87 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError
from motet.metrics.distributions import student
from motet.metrics.intervals import LEVEL, Estimate, Floats, Groups, standard_error

EFFECTIVE = 100
"""Fewer rows' worth of log says nothing. 100 rows know a share of one half to 0.1 either way, and let one of 0.036 go
unseen; with fewer the weights themselves are known too badly for intervals to hold (bench/LOG.md)."""

FAR = 4.0
"""The mean weight is 1, or the log and the policy do not belong together: this many standard errors away is no chance.
Mean weights are skewed, so of sound logs with heavy weights up to one in 25 is refused at 100 to 200 rows' worth, since
it happens to lack the heavy rows; of those worth thousands hardly any (bench/LOG.md)."""

ROUNDING = 1e-12
"""Rewards whose shares of either end are no larger are all alike."""

NEAR = 1e-3
"""No mean weight this near to 1 is refused: propensities are logged with few digits."""


@dataclass(frozen=True)
class Value:
    """The mean reward of a policy that did not act.

    estimate: with its 95 % interval, and n, the rows of the log. effective: the equally weighted rows that they are
    worth, (sum w)^2 / sum w^2 (Kish 1965).
    """

    estimate: Estimate
    effective: float

    def __str__(self) -> str:
        return f"{self.estimate} worth {self.effective:,.0f}"


@dataclass(frozen=True, eq=False)
class Log:
    """What one policy did, seen from another one. All arrays are [n], a row each time that something was done.

    rewards: what came of it, within `span`. propensities: how likely the policy that acted was to do what it did,
    in (0, 1]. shares: how likely the evaluated policy would have done the same, in [0, 1]. groups: equal where rows
    depend on each other (one viewer's). span: the least and the greatest reward that there can be.

    Raises DataError where the log cannot say it: without propensities; where the evaluated policy would have done
    nothing that is in it; where it is worth fewer than EFFECTIVE rows; where its mean weight is further than FAR
    standard errors from 1, as where the policy does what the log never could. A share of its doings below 4 / sqrt(n),
    of n rows' worth, may be missing without being seen; what it would have earned is missing in the estimate then.
    """

    rewards: NDArray[Any]
    propensities: NDArray[Any] | None
    shares: NDArray[Any]
    groups: Groups | None = None
    span: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        _refuse_wrong_rows(self)
        _refuse_no_support(self)

    @cached_property
    def weights(self) -> Floats:
        """How much likelier the evaluated policy would have done each: shares over propensities, float64 [n]."""
        assert self.propensities is not None
        return self.shares.astype(np.float64) / self.propensities.astype(np.float64)

    @cached_property
    def effective(self) -> float:
        return float(self.weights.sum() ** 2 / (self.weights @ self.weights))


def ips(log: Log) -> Value:
    """Inverse propensity scoring, mean of w r: unbiased where the log has support. Source: Horvitz & Thompson 1952."""
    return _value(log, log.weights * log.rewards, log.rewards)


def snips(log: Log) -> Value:
    """Self-normalized, sum w r / sum w: steadier than IPS, for a bias that vanishes with n, and never outside of the
    rewards that were seen. Source: Swaminathan & Joachims 2015."""
    w = log.weights
    value = w @ log.rewards / w.sum()
    away = log.rewards - value
    return _value(log, value + w * away / w.mean(), away)


def dr(log: Log, predicted: NDArray[Any], expected: NDArray[Any]) -> Value:
    """Doubly robust, mean of expected + w (r - predicted): unbiased like IPS, and the less variable the better the
    reward model. predicted: its reward for what was done, [n]. expected: its mean reward over what the evaluated
    policy would do there, [n]. The model must not have seen these rewards: fit it on other groups.
    Source: Dudik et al. 2011 (arXiv 1103.4601).
    """
    for name, values in (("predicted", predicted), ("expected", expected)):
        if values.shape != log.rewards.shape:
            raise DataError(f"{len(log.rewards)} rows have {len(values)} {name} rewards", help="one a row")
        _refuse(~np.isfinite(values), values, f"{name} reward", "a reward model predicts a finite number for every row")
    away = log.rewards - predicted
    return _value(log, expected + log.weights * away, away)


def _value(log: Log, terms: Floats, away: NDArray[Any]) -> Value:
    """The mean of terms, whose rewards are `away` from what was predicted for them."""
    value, w = float(terms.mean()), log.weights
    error, units = standard_error(terms, log.groups)
    if error is None:
        return Value(Estimate(value, None, None, len(terms)), log.effective)
    low, width = log.span[0], log.span[1] - log.span[0]
    share = float((w @ log.rewards / w.sum() - low) / width)
    usual = float(w @ away / w.sum())
    whole = _variance(log, terms, away) / width**2
    own = _variance(log, terms - usual * w, away - usual) / width**2
    alike = share * (1 - share)
    rows = alike / own if alike > ROUNDING and own > 0 else log.effective
    quantile = student(units - 1, (1 + LEVEL) / 2)
    ends = _wilson(min(max((value - low) / width, 0.0), 1.0), rows, quantile, max(0.0, whole - own))
    reached = min(value, low + width * ends[0]), max(value, low + width * ends[1])
    return Value(Estimate(value, *reached, len(terms)), log.effective)


def _variance(log: Log, terms: Floats, away: NDArray[Any]) -> float:
    """Of the mean of terms: what was measured, or what the weights imply of rewards so far away, if that is more."""
    measured, w = standard_error(terms, log.groups)[0] or 0.0, log.weights
    return max(measured**2, float(w @ away**2 / w.sum()) / log.effective)


def _wilson(share: float, n: float, z: float, noise: float) -> tuple[float, float]:
    """The shares p from which an observed one is at most z standard errors away, of variance p (1 - p) / n + noise."""
    k = z**2 / n
    middle = share + k / 2
    half = math.sqrt(max(0.0, middle**2 - (1 + k) * (share**2 - z**2 * noise)))
    low, high = (middle - half) / (1 + k), (middle + half) / (1 + k)
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def _refuse_wrong_rows(log: Log) -> None:
    n, (low, high) = len(log.rewards), log.span
    if log.propensities is None:
        raise DataError(
            "the log does not say how likely what was done was",
            help="log each choice with its propensity; of a policy without chance only an experiment tells",
        )
    if n == 0:
        raise DataError("the log has no rows", help="a policy is estimated from what another one did")
    for name, values in (("propensities", log.propensities), ("shares", log.shares), ("groups", log.groups)):
        if values is not None and len(values) != n:
            raise DataError(f"{n} rewards have {len(values)} {name}", help="one a row")
    if not low < high:
        raise DataError(f"no reward is between {low} and {high}", help="span=(0, 1)")
    p, shares, rewards = log.propensities, log.shares, log.rewards
    _refuse(~((p > 0) & (p <= 1)), p, "propensity", "what was done had a chance: above 0, at most 1")
    _refuse(~((shares >= 0) & (shares <= 1)), shares, "share", "a policy's shares of what was done are in [0, 1]")
    _refuse(~((rewards >= low) & (rewards <= high)), rewards, "reward", f"span=(least, greatest), now ({low}, {high})")


def _refuse_no_support(log: Log) -> None:
    w, other = log.weights, "log more, or from a policy that leaves more to chance"
    if not w.any():
        raise DataError(f"in none of {len(w):,} rows was done what the evaluated policy would do", help=other)
    if log.effective < EFFECTIVE:
        raise DataError(
            f"{len(w):,} rows are worth {log.effective:.1f} for this policy, and {EFFECTIVE} is the least that says "
            f"anything; the heaviest row weighs {w.max() / w.sum():.0%}",
            help=other,
        )
    error = standard_error(w, log.groups)[0] or 0.0
    if abs(w.mean() - 1) > max(FAR * error, NEAR):
        raise DataError(
            f"the mean weight is {w.mean():.3f}, not 1, with a standard error of {error:.3f}: the evaluated policy "
            "does what the log has no chance of showing, or propensities or shares are not what they are said to be",
            help="log all that the policy may do with a propensity above 0; log the propensity at the choice",
        )


def _refuse(wrong: NDArray[np.bool_], values: NDArray[Any], name: str, help: str) -> None:
    if wrong.any():
        raise DataError(
            f"the {name} of {int(wrong.sum())} of {len(wrong)} rows cannot be, the first in row {int(wrong.argmax())}: "
            f"{values[wrong.argmax()]}",
            help=help,
        )
