"""Two versions that were served, each to its own viewers: which one was better, and is it known yet?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet.errors import DataError
from motet.metrics.distributions import binomial, binomial_above
from motet.metrics.intervals import Floats, Groups, standard_error
from motet.metrics.sequential import PLANNED, Sequential, sequential

MISMATCH = 0.0005
"""A division that chance makes less often than this is a fault of the experiment (Fabijan et al. 2019). Of sound ones
0.5 % are refused at one look or more of 30, 1.1 % of 2,000 (bench/LOG.md)."""


@dataclass(frozen=True, eq=False)
class Arm:
    """The rows that one version answered. All arrays are [n].

    values: what came of each. groups: whose rows they are, where viewers and not rows were divided. before: the same
    figure from before the experiment, of the row's viewer or of whatever else no version can have changed.
    """

    values: NDArray[Any]
    groups: Groups | None = None
    before: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        for name, column in (("values", self.values), ("groups", self.groups), ("before", self.before)):
            if column is None:
                continue
            if len(column) != len(self.values):
                raise DataError(f"{len(self.values)} values have {len(column)} {name}", help="one a row")
            if name != "groups" and not np.isfinite(column).all():
                row = int((~np.isfinite(column)).argmax())
                fill = "leave out rows without a value; of viewers that are new, give the mean of the others as before"
                raise DataError(f"{name} of row {row} is {column[row]}", help=fill)

    @cached_property
    def units(self) -> int:
        """How many were divided: viewers, or rows where no groups are given."""
        return len(self.values) if self.groups is None else len(np.unique(self.groups))


def difference(ours: Arm, theirs: Arm, planned: int = PLANNED, share: float = 0.5) -> Sequential:
    """The mean of ours minus that of theirs, per row, unpaired; viewers' rows depend on each other.

    Where both know `before`, what viewers differed by anyway is taken out (CUPED, Deng et al. 2013): the variance falls
    by the squared correlation, the expected difference stays what it is. planned: rows of both together that were
    planned, whatever was seen. share: the part of the viewers that was to get ours.

    Raises DataError where the division itself went wrong: an arm without rows, viewers in both, a share that is not
    the planned one (`balance`).
    """
    if (ours.groups is None) != (theirs.groups is None) or (ours.before is None) != (theirs.before is None):
        raise DataError("one version has groups or before, the other has not", help="give both versions the same")
    if ours.groups is not None and theirs.groups is not None:
        both = np.intersect1d(ours.groups, theirs.groups)
        if len(both):
            raise DataError(
                f"{len(both):,} viewers got both versions, {both[0]} among them",
                help="choose the version by a hash of the viewer",
            )
    balance(ours.units, theirs.units, share)
    a, b = _adjusted(ours, theirs)
    error = _error(a, standard_error(a, ours.groups)[0], b, standard_error(b, theirs.groups)[0])
    return sequential(float(a.mean() - b.mean()), error, len(a) + len(b), ours.units + theirs.units - 1, planned)


def balance(ours: int, theirs: int, share: float = 0.5) -> float:
    """How often chance alone divides this unevenly or worse: p of the test for sample ratio mismatch.

    Two-sided binomial: what the chi-square test comes to for many, and exact for the first few of a small arm too.
    ours, theirs: how many got each version. share: the part that was to get ours. Raises DataError below MISMATCH: then
    who is in which arm depends on the version, and no figure compares them.
    """
    if not 0 < share < 1:
        raise DataError(f"a share of {share} is no experiment", help="share=0.5: half of the viewers get ours")
    if not ours or not theirs:
        raise DataError(f"{ours:,} got ours and {theirs:,} theirs", help="both versions need viewers")
    n = ours + theirs
    p = min(1.0, 2 * min(binomial(ours, n, share), binomial_above(ours - 1, n, share)))
    if p < MISMATCH:
        raise DataError(
            f"sample ratio mismatch: {ours:,} got ours, {theirs:,} theirs, and {share:.1%} were to get ours, p={p:.1g}",
            help="find what loses the others: failures, redirects, filters after the division; then measure again",
        )
    return p


def _adjusted(ours: Arm, theirs: Arm) -> tuple[Floats, Floats]:
    """Values less theta times what was known before, with the theta that leaves the least variance to the viewers."""
    a, b = ours.values.astype(np.float64), theirs.values.astype(np.float64)
    if ours.before is None or theirs.before is None:
        return a, b
    x, y = ours.before.astype(np.float64), theirs.before.astype(np.float64)
    known = np.concatenate([_per_unit(x, ours), _per_unit(y, theirs)])
    told = np.concatenate([_per_unit(a, ours), _per_unit(b, theirs)])
    theta = known @ told / (known @ known) if known.any() else 0.0
    return a - theta * x, b - theta * y


def _error(a: Floats, of_a: float | None, b: Floats, of_b: float | None) -> float | None:
    """The standard error of the difference; an arm's variance per row is its own or that of both, if that is larger.

    A small arm in which nobody clicked yet has no variance of its own, and would make any difference a sure one: with
    5 % of the viewers, 4 clicks in 1,000 rows and a look after every row, 57 % of experiments without an effect found
    one (bench/LOG.md).
    """
    if of_a is None or of_b is None:
        return None
    n, m = len(a), len(b)
    one, other = of_a**2 * n, of_b**2 * m
    both = (n * one + m * other) / (n + m)
    return math.sqrt(max(one, both) / n + max(other, both) / m)


def _per_unit(values: Floats, arm: Arm) -> Floats:
    """The sum of each viewer's rows, each less the arm's mean."""
    away = values - values.mean()
    if arm.groups is None:
        return away
    return np.bincount(np.unique(arm.groups, return_inverse=True)[1], away).astype(np.float64)
