"""Models of histories as they are served: the two towers read from plain arrays, without torch.

state: what sequence_train.fit returned, a dict of arrays that np.savez takes:
    codes int [m] the items seen in training, residuals float32 [m, d] their own vectors, unknown float32 [d],
    users uint8 the users' tower as ONNX; with content also mean float32 [c] and basis float32 [c, d].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from motet import sessions
from motet.batch import Array

BLOCK = 256  # histories that go through the users' tower at a time
LENGTH = np.float32(0.25)  # of what content says of an item: about as long as an embedding is when training begins


@dataclass(frozen=True)
class Reading:
    """How content becomes vectors of the items' width; nothing of it is learnt with the rest.

    mean: float32 [c], what all content has in common. basis: float32 [c, d], the directions in which content differs
    most, largest first; columns of zeros where it has fewer.
    """

    mean: Array
    basis: Array

    @staticmethod
    def of(content: Array, dim: int) -> Reading:
        """The reading of the items seen in training: float32 [n, c], rows of zeros where there is none."""
        unit = _unit(content)
        told = unit[unit.any(axis=1)]
        mean = told.mean(axis=0) if len(told) else np.zeros(content.shape[1], np.float32)
        centred = _unit(told - mean)
        strength, directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
        basis = np.zeros((content.shape[1], dim), np.float32)
        best = directions[:, np.argsort(-strength)[:dim]]
        basis[:, : best.shape[1]] = best
        return Reading(mean, basis)

    def __call__(self, content: Array) -> Array:
        """Directions from the mean, of length LENGTH; rows of zeros stay so. float32 [n, d]"""
        unit = _unit(content)
        apart = np.where(unit.any(axis=1, keepdims=True), unit - self.mean, 0)
        return LENGTH * _unit(apart @ self.basis)


def _unit(rows: Array) -> Array:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norm > 0, norm, 1)).astype(np.float32)


def items(state: Mapping[str, Array], content: Array | None, residual_rows: Array) -> Array:
    """Vectors of any items, new ones too: float32 [n, d].

    content: float32 [n, c] as in training, or None. residual_rows: int [n], where each item is in
    state["codes"], -1 where it was not seen in training. An item with neither is `unknown`.
    """
    known = residual_rows >= 0
    made = np.where(known[:, None], state["residuals"][np.maximum(residual_rows, 0)], np.float32(0))
    told = np.zeros(len(made), bool)
    if content is not None and "basis" in state:
        told = content.any(axis=1)
        made += Reading(state["mean"], state["basis"])(content)
    made[~known & ~told] = state["unknown"]
    return made


def session(state: Mapping[str, Array]) -> Any:
    """The users' tower, ready to run on one thread (several requests run side by side)."""
    return sessions.opened(state["users"].tobytes())


def users(
    tower: Any,
    values: Array,
    starts: Array,
    ends: Array,
    vectors: Array,
    times: Array | None = None,
    now: Array | None = None,
) -> Array:
    """Vectors of users: float32 [n, d]. score = users @ items.T

    tower: session(state). vectors: float32 [items, d] of `items`. values: rows of `vectors`; history i is
    values[starts[i]:ends[i]], oldest first, no longer than in training. An empty one has the vector learnt
    for the start of a history. times, now: seconds, int64 [values] when each item happened and [n] when the history is
    asked, where the tower reads them.
    """
    made = np.empty((len(starts), vectors.shape[1]), np.float32)
    order = np.argsort(ends - starts, kind="stable")  # like lengths together: little is padded
    for low in range(0, len(order), BLOCK):
        rows = order[low : low + BLOCK]
        sizes = ends[rows] - starts[rows]
        at = np.minimum(starts[rows, None] + np.arange(int(sizes.max())), max(len(values) - 1, 0))
        history = vectors[values[at]]
        told = {"vectors": history, "sizes": sizes}
        if times is not None and now is not None:
            told["moments"] = _moments(times, at, sizes, now[rows])
        made[rows] = tower.run(None, told)[0]
    return made


def _moments(times: Array, at: Array, sizes: Array, now: Array) -> Array:
    """When the items at these places happened, and after the last of each row when it is asked: int64 [n, l + 1]"""
    place = np.cumsum(np.ones(at.shape[1] + 1, np.int64)) - 1
    known = times[at] if len(times) else np.zeros(at.shape, np.int64)
    padded = np.hstack([known, now[:, None]])
    return np.where(place < sizes[:, None], padded, now[:, None]).astype(np.int64)
