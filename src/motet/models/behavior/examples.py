"""Which training rows a predictor learns from: those whose outcome is known, the oldest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from motet.batch import Array, Batch, offsets_of
from motet.errors import RunError, all_of, counted
from motet.model import Model

GRADES = np.arange(31)
FEWEST = 20  # examples, below which a held-out part tells nothing


@dataclass(frozen=True)
class Examples:
    """Groups of rows that are learnt together: a request's candidates, or single rows.

    rows: int64 [n] into the batch, group by group, the oldest group first. sizes: int64 [groups].
    labels: float64 [n].
    """

    rows: Array
    sizes: Array
    labels: Array
    first: int = 0

    def split(self, share: float) -> tuple[Examples, Examples]:
        """All but the latest share of the groups, and those."""
        groups = len(self.sizes) - int(len(self.sizes) * share)
        at = int(self.sizes[:groups].sum())
        early = Examples(self.rows[:at], self.sizes[:groups], self.labels[:at], self.first)
        return early, Examples(self.rows[at:], self.sizes[groups:], self.labels[at:], self.first + at)

    def within(self, whole: Examples) -> slice:
        """Where these rows are among those that they were split from."""
        return slice(self.first - whole.first, self.first - whole.first + len(self.rows))

    def tells(self) -> bool:
        """Whether they are enough, and differ enough, to judge by."""
        return len(self.sizes) >= FEWEST and bool(np.ptp(self.labels))


def examples(model: Model, batch: Batch, labels: Array, graded: bool = False) -> Examples:
    """The rows to learn from. A request none of whose candidates happened is left out.

    graded: labels are grades 0, 1, 2 ... as a ranker reads them.
    Errors: no row is left, all have the same label, a label that is no grade.
    """
    seen = _single(batch, labels) if batch.groups is None else _grouped(batch, labels)
    if not len(seen.rows):
        raise _nothing(model, batch, len(labels))
    if not np.ptp(seen.labels):
        raise RunError(
            f"{model} has only one value to learn from: its target is {seen.labels[0]:g} in"
            f" {all_of(len(seen.rows), 'row')}",
            help="train on events that differ in the target, or choose another",
        )
    strange = seen.labels[~np.isin(seen.labels, GRADES)] if graded else seen.labels[:0]
    if len(strange):
        raise RunError(
            f"{model} orders by grades 0, 1, 2 ... 30, and its target has others, such as {strange[0]:g}",
            help="target=Visit.rating >= 4",
        )
    return seen


def chances(model: Model, seen: Examples) -> Array:
    """The labels as how likely a Flag is, float64 [n]. Errors: one that is not from 0 to 1."""
    strange = seen.labels[(seen.labels < 0) | (seen.labels > 1)]
    if len(strange):
        raise RunError(
            f"{model} learns how likely a Flag is, and its target says {strange[0]:g}",
            help="teach it by a probability, from 0 to 1, or let a regression learn: mt.LightGBM('regression')",
        )
    return seen.labels


def _nothing(model: Model, batch: Batch, rows: int) -> RunError:
    if batch.groups is None:
        why, help = f"none of {counted(rows, 'row')} has a known outcome", "look at the target's values"
    else:
        why = f"none of {counted(len(batch.groups) - 1, 'request')} has an outcome among its candidates"
        help = "retrieve more, or by better scorers: mt.retrieve(..., k=500)"
    return RunError(f"{model} has nothing to learn from: {why}", help)


def _single(batch: Batch, labels: Array) -> Examples:
    rows = np.flatnonzero(np.isfinite(labels))
    rows = rows[np.argsort(batch["at"][rows], kind="stable")]
    return Examples(rows, np.ones(len(rows), np.int64), labels[rows])


def _grouped(batch: Batch, labels: Array) -> Examples:
    offsets, labels = np.asarray(batch.groups, np.int64), np.where(np.isfinite(labels), labels, 0)
    sizes = np.diff(offsets)
    hits = np.concatenate([[0], np.cumsum(labels > 0)])
    groups = np.flatnonzero(hits[offsets[1:]] > hits[offsets[:-1]])
    groups = groups[np.argsort(batch["at"][offsets[groups]], kind="stable")]
    sizes = sizes[groups]
    starts = np.repeat(offsets[groups] - offsets_of(sizes)[:-1], sizes)
    rows = starts + np.arange(len(starts))
    return Examples(rows, sizes, labels[rows])
