"""Histories of items, and the steps of training that are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from motet.batch import Array
from motet.models.behavior.steps import tensor


@dataclass(frozen=True)
class Histories:
    """Stretches of one array of item codes: history i is values[starts[i]:ends[i]].

    times: seconds at which each value happened, where that is read.
    """

    values: Array
    starts: Array
    ends: Array
    times: Array | None = None

    @property
    def sizes(self) -> Array:
        return self.ends - self.starts

    def cut(self, width: int, rng: np.random.Generator) -> Histories:
        """Histories longer than `width` in pieces of it, cut anew every time; the others whole."""
        shift = np.where(self.sizes > width, rng.integers(0, width, len(self.starts)), 0)
        pieces = -(-(self.sizes + shift) // width)
        whose = np.repeat(np.arange(len(pieces)), pieces)
        place = np.arange(len(whose)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        starts = self.starts[whose] - shift[whose] + place * width
        ends = np.minimum(starts + width, self.ends[whose])
        return replace(self, starts=np.maximum(starts, self.starts[whose]), ends=ends)

    def last(self, width: int) -> Histories:
        return replace(self, starts=np.maximum(self.starts, self.ends - width))

    def without_last(self, rows: Array) -> Histories:
        """Less the last item of the given histories."""
        ends = self.ends.copy()
        ends[rows] -= 1
        return replace(self, ends=ends)

    def take(self, rows: Array) -> Histories:
        return replace(self, starts=self.starts[rows], ends=self.ends[rows])

    def padded(self) -> tuple[Tensor, Array]:
        """Codes int64 [n, longest], padded at the end, and which of them are real."""
        place = np.arange(int(self.sizes.max(initial=0)))
        return tensor(self.values[self._at(place)].astype(np.int64)), place < self.sizes[:, None]

    def moments(self, more: int) -> tuple[Tensor, ...]:
        """When the items happened, and so many after them: int64 [n, longest + more]. Nothing where it is not read."""
        if self.times is None:
            return ()
        return (tensor(self.times[self._at(np.arange(int(self.sizes.max(initial=0)) + more))]),)

    def _at(self, place: Array) -> Array:
        return np.minimum(self.starts[:, None] + place, max(len(self.values) - 1, 0))


def batches(windows: Histories, size: int, rng: np.random.Generator) -> Iterator[Histories]:
    """Windows of like length together, so that little is padded; lengths are blurred, steps shuffled."""
    order = np.argsort(windows.sizes * (1 + 0.05 * rng.standard_normal(len(windows.starts))))
    steps = range(0, len(order), size)
    for step in rng.permutation(len(steps)):
        yield windows.take(order[steps[step] : steps[step] + size])
