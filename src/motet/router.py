"""Which of two models will be right about a request, told before the dearer one is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import Array, Batch, Codes, Ragged
from motet.clock import library
from motet.errors import RunError
from motet.metrics.calibration import Isotonic, calibrated
from motet.model import Model, State

FOLDS = 5
FEWEST = 50  # requests, or answers that are right or wrong; fewer tell nothing about when a model is right
COMMON = 100  # requests of a name; of a rarer one they tell more noise than when a model is right about it
SIDES = ("cheap", "strong")
ROUNDS = 1_000
SEEN = ("mean", "scale", "low", "high")
AS_IT_IS = np.array([[0.0, 1.0], [0.0, 1.0]])
SURE = 1e-6  # a probability is no nearer to 0 or 1


@dataclass(frozen=True)
class Router(Model):
    """How likely the cheap and the strong model are to be right about each request, from what is known by then.

    Reads what the cheap model says (its label, its confidence and other numbers), how long texts and histories are, and
    what else it is given. Learns on requests that neither model was fitted on: a logistic regression for each model.
    What the other folds' regressions say of a request (cross-fitted) is calibrated by isotonic regression, where that
    foretells held-out requests better than the regressions do by themselves.
    Result: cheap, strong: the two probabilities. gain: by how much asking the strong model raises the chance that the
    answer is right, from -1 to 1. rank: the share of the requests that it has learnt from at which more is gained.
    Errors: fewer than 50 requests whose outcome is known. Source: Zadrozny & Elkan 2002 for the calibration.
    """

    version: ClassVar[int] = 3

    def fit(self, batch: Batch, target: Any) -> State:
        wanted: Codes = target
        known = np.flatnonzero(wanted.codes >= 0)
        if len(known) < FEWEST:
            raise RunError(
                f"{len(known)} requests with a known outcome do not tell when to escalate",
                help=f"give earlier events, at least {FEWEST} that the models are not fitted on",
            )
        said = {"cheap": label_of(batch["cheap"]), "strong": batch["strong"]}
        read = {name: value for name, value in batch.columns.items() if name != "strong"}
        frame = _frame(read)
        X = _design(State(**frame), read)[known]
        if not X.shape[1]:
            raise RunError(
                "nothing is known of a request before the strong model is asked: the cheap one says no confidence",
                help="say what tells: cheap.escalate(strong, Query.amount, budget=0.2)",
            )
        seen = _seen(X)
        scaled = _scaled(X, **seen)
        right = {s: (said[s].coded_by(wanted.names) == wanted.codes)[known].astype(np.float64) for s in SIDES}
        dealt = np.random.default_rng(0).permutation(len(known))  # what comes by turns is in all folds
        chances, parts = dict[str, Array](), dict[str, Any]()
        for side in SIDES:
            chances[side] = _crossed(scaled, right[side], dealt)
            parts |= {f"{side}_steps": _steps(chances[side], right[side], dealt)}
            parts |= dict(zip((f"{side}_weights", f"{side}_bias"), _line(scaled, right[side]), strict=True))
        scores = _half(chances)
        # Half of what is gained, and a half, is the mean of these two: so a gain is calibrated as a probability is.
        twice, either = np.tile(scores, 2), np.concatenate([right["strong"], 1 - right["cheap"]])
        gains = _steps(twice, either, np.tile(dealt, 2))
        return State(**frame, **parts, **seen, gain_steps=gains, scores=np.sort(scores))

    def apply(self, state: State, batch: Batch) -> dict[str, Array]:
        X = _scaled(_design(state, batch.columns), **{name: state[name] for name in SEEN})
        chances = {side: _chance(_odds(X, state[f"{side}_weights"], state[f"{side}_bias"])) for side in SIDES}
        likely = {side: _calibrated(state[f"{side}_steps"], chances[side]) for side in SIDES}
        score = _half(chances)
        above = len(state["scores"]) - np.searchsorted(state["scores"], score, side="right")
        gain = 2 * _calibrated(state["gain_steps"], score) - 1
        return {**likely, "gain": gain, "rank": above / len(state["scores"])}


def label_of(value: Any) -> Codes:
    """The label that a model has given, where it fills in more beside it."""
    if not isinstance(value, Mapping):
        return value
    return next(part for part in cast("Mapping[str, Any]", value).values() if isinstance(part, Codes))


def _crossed(X: Array, right: Array, dealt: Array) -> Array:
    """The probability of being right at each request, as the other folds know it, [n]. dealt: as numbers that the folds
    take by turns, [n]."""
    odds = np.empty(len(X))
    for fold in range(FOLDS):
        held = dealt % FOLDS == fold
        odds[held] = _odds(X[held], *_line(X[~held], right[~held]))
    return _chance(odds)


def _half(chances: Mapping[str, Array]) -> Array:
    """Half of what the strong model gains, and a half: 0 where it is surely wrong and the cheap one right, 1 where it
    is the other way round."""
    return 0.5 + (chances["strong"] - chances["cheap"]) / 2


def _steps(chances: Array, right: Array, dealt: Array) -> Array:
    """What calibrates probabilities: each step's end, and the probability there, float64 [2, m]. dealt: the request
    that each is of, as a number that the folds take by turns, [n]."""
    if np.ptp(right) == 0:
        return np.array([[0.0], [(right.sum() + 1) / (len(right) + 2)]])
    if min(right.sum(), len(right) - right.sum()) < FEWEST:
        return AS_IT_IS  # steps of so few say little
    if np.mean((calibrated(chances, right, dealt, FOLDS) - right) ** 2) >= np.mean((chances - right) ** 2):
        return AS_IT_IS
    steps = Isotonic.of(chances, right)
    return np.stack([steps.scores, steps.probabilities])


def _line(X: Array, right: Array) -> tuple[Array, float]:
    """Weights and bias of a logistic regression; of rows that are all alike, nothing but their share."""
    if np.ptp(right) == 0:
        return np.zeros(X.shape[1]), 0.0
    linear = library("sklearn.linear_model")
    learner = linear.LogisticRegression(max_iter=ROUNDS).fit(X, right)
    return learner.coef_[0], float(learner.intercept_[0])


def _odds(X: Array, weights: Array, bias: float) -> Array:
    return np.asarray((X * weights).sum(axis=1) + bias)  # row by row, so alike in every batch


def _calibrated(steps: Array, scores: Array) -> Array:
    return Isotonic(*steps)(scores)


def _chance(odds: Array) -> Array:
    return 0.5 * (1 + np.tanh(odds / 2))


def _seen(X: Array) -> dict[str, Array]:
    """Of each feature's known values: mean and spread, the least and the most."""
    known = ~np.isnan(X)
    counts = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, X, 0).sum(axis=0) / counts
    spread = np.sqrt((np.where(known, X - mean, 0) ** 2).sum(axis=0) / counts)
    low, high = (np.where(known.any(axis=0), end, 0) for end in (_or(X, np.inf).min(0), _or(X, -np.inf).max(0)))
    return dict(zip(SEEN, (mean, np.where(high > low, spread, 1.0), low, high), strict=True))


def _or(X: Array, missing: float) -> Array:
    return np.where(np.isnan(X), missing, X)


def _scaled(X: Array, mean: Array, scale: Array, low: Array, high: Array) -> Array:
    """Of mean 0 and spread 1. Missing is the mean; what is beyond all that was learnt from, the nearest of that."""
    return np.where(np.isnan(X), 0.0, (np.clip(X, low, high) - mean) / scale)


def _frame(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the features' layout follows from: the names of each category, and which numbers are probabilities."""
    named = {name: _names(value) for name, value in _flat(values) if isinstance(value, Codes)}
    return {"names": named, "odds": [name for name, value in _flat(values) if _is_probability(value)]}


def _names(value: Codes) -> list[Any]:
    seen, counts = np.unique(value.codes[value.codes >= 0], return_counts=True)
    return value.names.names.take(pa.array(seen[counts >= COMMON])).to_pylist()


def _is_probability(value: Any) -> bool:
    if not isinstance(value, np.ndarray) or cast(Array, value).ndim != 1:
        return False
    found = np.asarray(value, np.float64)
    found = found[np.isfinite(found)]
    return len(found) > 0 and bool(((found >= 0) & (found <= 1)).all())


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every column by name, those of a record that a model fills in by their own."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{part}", each) for part, each in cast("Mapping[str, Any]", value).items())
        else:
            yield name, value


def _design(state: State, values: Mapping[str, Any]) -> Array:
    """All features of each request, NaN where one is missing: float64 [n, width]."""
    return np.hstack([_block(state, name, value) for name, value in _flat(values)])


def _block(state: State, name: str, value: Any) -> Array:
    match value:
        case Codes():
            known = pa.array(state["names"].get(name, []), value.names.names.type)
            return np.asarray(_places(value, known)[:, None] == np.arange(len(known)), np.float64)
        case pa.Array():
            lengths = (pc.utf8_length(value), pc.list_value_length(pc.utf8_split_whitespace(value)))
            return np.log1p(np.stack([_numbers(length) for length in lengths], axis=1))
        case Ragged():
            lengths = value.windows.lengths.astype(np.float64)
            return np.stack([np.log1p(lengths), lengths == 0], axis=1)
        case _:
            found = np.asarray(value, np.float64)
            found = np.where(np.isfinite(found), found, np.nan)
            if name in state["odds"]:
                chance = np.clip(found, SURE, 1 - SURE)
                found = np.log(chance / (1 - chance))
            return found if found.ndim == 2 else found[:, None]


def _places(value: Codes, names: pa.Array) -> Array:
    """Where each row's name stands among the names, -1 where it does not."""
    places = np.append(pc.fill_null(pc.index_in(value.names.names, value_set=names), -1).to_numpy(), -1)
    return places[value.codes]


def _numbers(lengths: pa.Array) -> Array:
    return pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False).astype(np.float64)
