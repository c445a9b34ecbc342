"""A figure that is looked at while it grows: how sure it is at a look that was planned, and at every look.

A 95 % interval holds the truth at one look. Whoever looks every day and stops when zero is left out is wrong far more
often than one time in twenty. A confidence sequence holds it at all looks together, for about half as much width again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from motet.errors import DataError
from motet.metrics.distributions import student
from motet.metrics.intervals import LEVEL, Estimate

PLANNED = 10_000
"""Rows at which the interval of every look is narrowest beside that of one look: 1.5 times as wide. At a tenth of them
it is 2.0 times as wide, at a hundredth 4.6, at a hundred times as many 1.8."""
POWER = 0.8
FEWEST = 100
"""Independent units that a figure needs before it is normal enough for an interval that holds at every look: from 2 on
it is wrong in up to 13 % of runs that plan 100 rows, from 40 on in 5 % (bench/LOG.md)."""
MOST = 1 << 60
"""Nobody waits for more rows than these."""


@dataclass(frozen=True)
class Sequential:
    """A figure with two intervals.

    once: 95 %, of a look that was fixed beforehand, and of no other. anytime: 95 % of all looks together, however often
    one looks and whatever one does about it; stop by this one. error: the standard error, None where nothing says how
    sure the figure is. planned: as it was given.
    """

    once: Estimate
    anytime: Estimate
    error: float | None
    planned: int

    def __str__(self) -> str:
        return f"{self.once} at one look, {self.anytime} at any"


def sequential(value: float, error: float | None, n: int, units: int, planned: int = PLANNED) -> Sequential:
    """The two intervals of an asymptotically normal figure of n rows in independent units.

    once: t with units - 1 degrees of freedom. anytime: the asymptotic confidence sequence of Waudby-Smith et al. 2021
    (arXiv 2103.06476), a normal mixture (Robbins 1970) and so the inverse of the mSPRT (Johari et al. 2017), from
    FEWEST units on. planned must not follow from what was seen.
    """
    if planned < 1:
        raise DataError(f"{planned} planned rows are no plan", help=f"planned={PLANNED}: about what you will wait for")
    unknown = Estimate(value, None, None, n)
    if not error:
        return Sequential(unknown, unknown, None, planned)
    once, anytime = student(units - 1, (1 + LEVEL) / 2) * error, _widened(n / planned) * error
    ends = [Estimate(value, value - half, value + half, n) for half in (once, anytime)]
    return Sequential(ends[0], ends[1] if units >= FEWEST else unknown, error, planned)


def needed(found: Sequential) -> int | None:
    """How many more rows would leave zero out at any look, in four of five cases, were the figure the truth.

    Guides whether to wait, and no more: the figure that it takes for the truth is as unsure as its interval says.
    0 where zero is left out already, None where nothing is known or no number of rows would do.
    """
    n, value, error = found.once.n, found.once.value, found.error
    if found.anytime.sure:
        return 0
    if not value or error is None:
        return None

    def enough(rows: int) -> bool:
        errors = _widened(rows / found.planned) + NormalDist().inv_cdf(POWER)
        return abs(value) >= errors * error * math.sqrt(n / rows)

    rows = fewest(enough, n)
    return None if rows is None else max(0, rows - n)


def fewest(enough: Callable[[int], bool], start: int) -> int | None:
    """The least number from half of start on that is enough, where more are enough too; None above MOST."""
    high = start
    while not enough(high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _widened(looked: float) -> float:
    """Standard errors either way that hold at every look. looked: the rows so far over those that were planned."""
    alpha = 1 - LEVEL
    grown = looked * (math.log(1 - 2 * math.log(alpha)) - 2 * math.log(alpha))  # t rho^2
    return math.sqrt((grown + 1) / grown * (math.log(grown + 1) - 2 * math.log(alpha)))
