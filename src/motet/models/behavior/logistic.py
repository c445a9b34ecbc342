"""Logistic regression: the cheap predictor that says what its features are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from motet.batch import Array, Batch, take
from motet.clock import library
from motet.column import Flag, Number
from motet.errors import GraphError, RunError
from motet.model import Model, State
from motet.models.behavior.examples import chances, examples
from motet.models.behavior.features import Feature, averages, features, layout, named, numbers
from motet.models.behavior.outcome import predicted

ROUNDS = 1_000
NAMES = 100_000  # of one feature that have a weight


@dataclass(frozen=True)
class Logistic(Model):
    """The probability of a Flag, linear in its features on the scale of log-odds.

    Numbers are standardised; a missing one counts as the average, and one beyond those of the training rows
    as the nearest of them, so that nothing unheard-of makes it certain. Every name of a category or tag has a weight.

    C: inverse strength of the ridge penalty; smaller is stronger.
    Taught by a probability, it learns that of each row rather than yes or no.
    Call: Logistic()(Payment.amount, recent.count(), target=Payment.fraud). Returns a Number.
    Errors: no features, training rows of one class only. Fitted by scikit-learn (L-BFGS).
    """

    C: float = 1.0

    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if not self.C > 0:
            raise GraphError(f"C={self.C} is not above zero", help="Logistic(C=1.0)")

    def __call__(self, *given: Feature, target: Flag) -> Number:
        return predicted(self, features(self, given), target, (Flag,))

    def fit(self, batch: Batch, target: Any) -> State:
        seen = examples(self, batch, np.asarray(target, np.float64))
        values = {name: take(value, seen.rows) for name, value in batch.features().items()}
        parts = State(layout=layout(values, NAMES))
        X = numbers(parts, values)
        mean = averages(X)
        centred = np.where(np.isnan(X), 0, X - mean)
        low, high = centred.min(axis=0), centred.max(axis=0)
        scale = centred.std(axis=0)
        scale[scale == 0] = 1
        linear = library("sklearn.linear_model")
        learner = linear.LogisticRegression(C=self.C, max_iter=ROUNDS)
        learner.fit(*_weighed(_beside(centred / scale, named(parts, values), parts), chances(self, seen)))
        if learner.n_iter_[0] >= ROUNDS:
            raise RunError(f"{self} found no end after {ROUNDS} rounds", help="a smaller C converges: Logistic(C=0.1)")
        weights, of_names = np.split(learner.coef_[0], [len(scale)])
        learnt = {"weights": weights / scale, "of_names": of_names, "bias": float(learner.intercept_[0])}
        return State(layout=parts["layout"], mean=mean, low=low, high=high, **learnt)

    def apply(self, state: State, batch: Batch) -> Array:
        X = numbers(state, batch.features())
        centred = np.where(np.isnan(X), 0, X - state["mean"])
        odds = (np.clip(centred, state["low"], state["high"]) * state["weights"]).sum(axis=1) + state["bias"]
        rows, places = named(state, batch.features())
        odds += np.bincount(rows, state["of_names"][places], batch.rows)
        return 0.5 * (1 + np.tanh(odds / 2))

    def learns_chances(self) -> bool:
        return True


def _beside(X: Array, names: tuple[Array, Array], parts: State) -> Any:
    """Numbers and names as one matrix, sparse where there are names."""
    rows, places = names
    width = sum(len(part.get("names", [])) for part in parts["layout"])
    if not width:
        return X
    sparse = library("scipy.sparse")
    hot = sparse.csr_array((np.ones(len(rows)), (rows, places)), shape=(len(X), width))
    return sparse.hstack([sparse.csr_array(X), hot], format="csr") if X.shape[1] else hot


def _weighed(X: Any, labels: Array) -> tuple[Any, Array, Array | None]:
    """Rows, classes and weights: where a label is between yes and no, its row is both, each as much as it is likely."""
    if np.isin(labels, (0, 1)).all():
        return X, labels, None
    stacking: Any = np if isinstance(X, np.ndarray) else library("scipy.sparse")
    yes = np.ones(len(labels))
    return stacking.vstack([X, X]), np.concatenate([yes, 1 - yes]), np.concatenate([labels, 1 - labels])
