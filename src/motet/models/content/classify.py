"""The label of a text, by a linear classifier over its words or its vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from motet.batch import Array, Batch, Codes, Vocabulary, take
from motet.clock import library
from motet.column import Category, Column, Number, Text, column, learn
from motet.errors import GraphError, RunError, all_of, counted
from motet.model import Model, State
from motet.models.behavior.features import Feature, Part, averages, design, features, layout
from motet.models.behavior.outcome import check_frame, outcome
from motet.models.content import grams
from motet.record import Record, filled

ROUNDS = 1_000


class Labelled(Record):
    """What a classifier says. confidence: the probability that it gives that label, from 0 to 1."""

    label: Category
    confidence: Number


@dataclass(frozen=True)
class Classify(Model):
    """One label out of those that the training rows have, and how sure it is.

    Reads a text by its words, pairs of words and pieces of words, weighed by how few texts have them; a vector and
    everything else by its numbers. Every feature weighs alike, however wide it is. A missing text has no words and a
    missing number is the average, so that what is left decides.

    C: inverse strength of the ridge penalty; smaller is stronger.
    Call: found = Classify()(Query.text, target=Query.intent), or Classify()(embed(Query.text), target=Query.intent);
        then found.label and found.confidence.
    Errors: no features, training rows of one label only. It is a multinomial logistic regression, fitted by
    scikit-learn (L-BFGS).
    """

    C: float = 10.0

    def __post_init__(self) -> None:
        if not self.C > 0:
            raise GraphError(f"C={self.C} is not above zero", help="Classify(C=10.0)")

    def __call__(self, *given: Text | Feature, target: Category) -> Labelled:
        wanted = outcome(self, target, (Category,))
        read = _features(self, given)
        fit = learn(self, target=wanted, **read)
        check_frame(self, fit)
        return filled(Labelled, column(Column, self, fit, **read))

    def fit(self, batch: Batch, target: Any) -> State:
        rows, labels, names = _examples(self, target)
        texts, numbers = _parted({name: take(value, rows) for name, value in batch.features().items()})
        said = f"{len(names):,} labels of {len(rows):,} rows"
        batch.progress(0, 1, said)
        parts = {f"grams{i}": grams.learnt(text) for i, text in enumerate(texts)} | _scales(numbers)
        X = _design(State(**parts), texts, numbers)
        if not X.shape[1]:
            raise RunError(
                f"{self} has nothing to read: no two of {len(rows)} texts have a word in common",
                help="give more events, or a column of texts that are there",
            )
        linear = library("sklearn.linear_model")
        learner = linear.LogisticRegression(C=self.C, max_iter=ROUNDS).fit(X if texts else X.toarray(), labels)
        if learner.n_iter_[0] >= ROUNDS:
            raise RunError(f"{self} found no end after {ROUNDS} rounds", help="a smaller C converges: Classify(C=1.0)")
        batch.progress(1, 1, said)
        weights, bias = learner.coef_.T, learner.intercept_
        if len(names) == 2:  # of two labels the library gives the second's odds against the first
            weights, bias = np.hstack([0 * weights, weights]), np.array([0, bias[0]])
        return State(**parts, names=names, weights=weights.astype(np.float32), bias=bias.astype(np.float32))

    def apply(self, state: State, batch: Batch) -> dict[str, Any]:
        # The rows are sparse whatever they hold: each is then added up by itself, and so alike in every batch.
        odds = np.asarray(_design(state, *_parted(batch.features())) @ state["weights"] + state["bias"], np.float64)
        likely = np.exp(odds - odds.max(axis=1, keepdims=True))
        best = odds.argmax(axis=1).astype(np.int32)
        return {"label": Codes(best, state.opened(_names)), "confidence": likely.max(axis=1) / likely.sum(axis=1)}


def _features(model: Model, given: tuple[Any, ...]) -> dict[str, Any]:
    """The columns that came by position, named feature0, feature1 ...; texts are among them."""
    if not given:
        raise GraphError(f"{model} has nothing to read", help="Classify()(Query.text, target=Query.intent)")
    return {
        f"feature{i}": arg if isinstance(arg, Text) else features(model, (arg,))["feature0"]
        for i, arg in enumerate(given)
    }


def _examples(model: Model, target: Codes) -> tuple[Array, Array, list[str]]:
    """The rows whose label is known, which label of those each has, and what they are called."""
    rows = np.flatnonzero(target.codes >= 0)
    seen, labels = np.unique(target.codes[rows], return_inverse=True)
    names: list[str] = target.names.names.take(pa.array(seen)).to_pylist()
    if len(names) < 2:
        none = f"no label in {counted(len(target), 'row')}"
        only = f"only the label {names[0]!r}, in {all_of(len(rows), 'row')}" if names else none
        raise RunError(
            f"{model} has {only}, and learns to tell labels apart",
            help="train on events that differ in the target: more of them, or a later split",
        )
    return rows, labels, names


def _parted(values: dict[str, Any]) -> tuple[list[pa.Array], dict[str, Any]]:
    """The texts, and what is made of numbers."""
    texts = {name: value for name, value in values.items() if isinstance(value, pa.Array)}
    return list(texts.values()), {name: value for name, value in values.items() if name not in texts}


def _scales(numbers: dict[str, Any]) -> dict[str, Any]:
    """Where the numbers go, and what brings each feature to mean 0 and variance 1, a vector's summed over its width."""
    if not numbers:
        return {"layout": []}
    parts = layout(numbers)
    X = design(State(layout=parts), numbers)
    mean = averages(X)
    centred = np.where(np.isnan(X), 0, X - mean)
    widths = [_width(part) for part in parts]
    starts = np.cumsum([0, *widths[:-1]])
    scale = np.sqrt(np.add.reduceat(np.append(centred.var(axis=0), 0), starts)[: len(widths)])
    scale[scale == 0] = 1
    low, high = centred.min(axis=0), centred.max(axis=0)
    return {"layout": parts, "mean": mean, "low": low, "high": high, "scale": np.repeat(scale, widths)}


def _width(part: Part) -> int:
    return len(part["names"]) if part["kind"] == "category" else part["width"]


def _design(state: State, texts: list[pa.Array], numbers: dict[str, Any]) -> Any:
    """All features of each row: sparse float32 [rows, width]."""
    sparse = library("scipy.sparse")
    blocks = [grams.counted(state[f"grams{i}"], text) for i, text in enumerate(texts)]
    if numbers:
        X = design(state, numbers)
        inside = np.clip(np.where(np.isnan(X), 0, X - state["mean"]), state["low"], state["high"])
        blocks.append(sparse.csr_matrix((inside / state["scale"]).astype(np.float32)))
    return blocks[0] if len(blocks) == 1 else sparse.hstack(blocks, "csr")


def _names(state: State) -> Vocabulary:
    return Vocabulary(pa.array(state["names"], pa.large_string()))
