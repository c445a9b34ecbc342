"""Any estimator of scikit-learn, or of a library that keeps its conventions."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from motet.batch import Array, Batch, take
from motet.clock import library
from motet.column import Flag, Number
from motet.errors import GraphError, RunError
from motet.model import Model, State
from motet.models.behavior.examples import examples
from motet.models.behavior.features import Feature, averages, design, features, layout
from motet.models.behavior.outcome import predicted
from motet.raised import place


@dataclass(frozen=True)
class Sklearn(Model):
    """Any scikit-learn estimator: a classifier gives the probability of a Flag, a regressor a Number.

    It sees one matrix: a category as a column per name, tags as a column each, vectors by their dimensions.
    Where it cannot read missing numbers they are the average of the training rows. Every random_state that
    is None gets the run's seed.

    The state is a pickle: load states only from a store that you trust, and with the scikit-learn that
    made them.
    Call: Sklearn(RandomForestClassifier(200))(Payment.amount, target=Payment.fraud). Returns a Number.
    Errors: no estimator, a classifier without predict_proba, training rows of one class only.
    """

    estimator: Any

    def __post_init__(self) -> None:
        kind = _kind(self.estimator)
        if kind not in ("classifier", "regressor") or isinstance(self.estimator, type):
            raise GraphError(
                f"{self.estimator!r} is no classifier or regressor of scikit-learn",
                help="give an estimator with its settings: mt.Sklearn(RandomForestClassifier(200))",
            )
        if kind == "classifier" and not hasattr(self.estimator, "predict_proba"):
            raise GraphError(
                f"{type(self.estimator).__name__} gives classes and no probabilities",
                help="wrap it: mt.Sklearn(CalibratedClassifierCV(...))",
            )

    def __call__(self, *given: Feature, target: Flag | Number) -> Number:
        kinds = (Flag,) if self._classifies else (Flag, Number)
        return predicted(self, features(self, given), target, kinds)

    @property
    def _classifies(self) -> bool:
        return _kind(self.estimator) == "classifier"

    def fit(self, batch: Batch, target: Any) -> State:
        seen = examples(self, batch, np.asarray(target, np.float64))
        values = {name: take(value, seen.rows) for name, value in batch.features().items()}
        parts = State(layout=layout(values))
        X = design(parts, values)
        learner = _seeded(self.estimator, batch.seed)
        mean = np.full(X.shape[1], np.nan) if _reads_missing(learner) else averages(X)
        labels = seen.labels.astype(np.int64) if self._classifies else seen.labels
        try:
            learner.fit(np.where(np.isnan(X), mean, X), labels)
        except Exception as error:
            help = f"change its settings: mt.Sklearn({type(learner).__name__}(...))"
            raise RunError(f"{self} cannot be fitted: {error}", help=place(error, help)) from error
        return State(layout=parts["layout"], mean=mean, pickle=pickle.dumps(learner))

    def apply(self, state: State, batch: Batch) -> Array:
        if not batch.rows:
            return np.zeros(0)
        X = design(state, batch.features())
        filled = np.where(np.isnan(X), state["mean"], X)
        learner = state.opened(_unpickled)
        made = learner.predict_proba(filled)[:, 1] if self._classifies else learner.predict(filled)
        return np.asarray(made, np.float64)

    def learns_chances(self) -> bool:
        return not self._classifies

    def identity(self) -> str:
        settings = json.dumps(_settings(self.estimator), sort_keys=True, default=repr)
        return f"{type(self).__module__}.Sklearn/{self.version} {_class_name(self.estimator)} {settings}"


def _kind(estimator: Any) -> str | None:
    tags = getattr(estimator, "__sklearn_tags__", None)
    if tags is None or isinstance(estimator, type):
        return None
    return tags().estimator_type


def _reads_missing(estimator: Any) -> bool:
    return bool(estimator.__sklearn_tags__().input_tags.allow_nan)


def _settings(estimator: Any) -> dict[str, Any]:
    """All settings, those of nested estimators included; an estimator itself is its class."""
    given: dict[str, Any] = estimator.get_params(deep=True)
    return {name: _named(value) for name, value in given.items()}


def _named(value: Any) -> Any:
    if hasattr(value, "get_params"):
        return _class_name(value)
    if isinstance(value, (list, tuple)):
        return [_named(v) for v in cast("list[Any]", value)]
    if callable(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', value)}"
    return value


def _class_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _seeded(estimator: Any, seed: int) -> Any:
    made = library("sklearn.base").clone(estimator)
    settings: dict[str, Any] = made.get_params(deep=True)
    free = [name for name, value in settings.items() if name.endswith("random_state") and value is None]
    return made.set_params(**dict.fromkeys(free, seed))


def _unpickled(state: State) -> Any:
    return pickle.loads(state["pickle"])
