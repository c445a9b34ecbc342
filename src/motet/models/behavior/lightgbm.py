"""Gradient boosted trees: rankers of candidates, and predictors of one outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, overload

import numpy as np

from motet.batch import Array, Batch, take
from motet.candidates import Candidates
from motet.clock import library
from motet.column import Flag, Number, Reference
from motet.errors import GraphError
from motet.model import Model, State
from motet.models.behavior.examples import Examples, chances, examples
from motet.models.behavior.features import Feature, categories, features, layout, matrix
from motet.models.behavior.outcome import checked, predicted, ranking
from motet.models.cores import threads
from motet.record import Record

Objective = Literal["binary", "regression", "lambdarank"]
METRIC = {"binary": "binary_logloss", "cross_entropy": "cross_entropy", "regression": "l2", "lambdarank": "ndcg"}
FEW = 1_000  # rows that one thread predicts before several would have started
MANY = 10_000  # rows from which several threads train faster than one
HELD_OUT = 0.1


@dataclass(frozen=True)
class LightGBM(Model):
    """Gradient boosted decision trees over features of any kind; missing values are read as such.

    The number of trees is found on the latest tenth of the training examples (at most `trees`, stopped
    after `patience` trees without gain), then all examples are learnt with that number.

    objective: "binary" gives the probability of a Flag (and learns that of each row, where it is taught by one),
        "regression" a number, "lambdarank" an order of candidates (it optimises NDCG@10).
    leaves: per tree. min_rows: a leaf holds at least so many. patience: 0 learns all `trees` at once.
    requests: past requests whose candidates are learnt from, drawn at random; only with candidates.
    Call: LightGBM("lambdarank")(found, Film.year, target=Visit.rating >= 4) ranks candidates, and their own
        score is a feature too; target=Visit.film counts whatever happened as a success.
        LightGBM("binary")(Payment.amount, target=Payment.fraud) gives a Number.
    Errors: no features, "lambdarank" without candidates, training rows of one class only, no request whose
        outcome was among its candidates. Source: Ke et al. 2017 (NeurIPS); LambdaMART: Burges 2010.
    """

    objective: Objective = "binary"
    trees: int = 300
    leaves: int = 31
    learning_rate: float = 0.05
    min_rows: int = 20
    patience: int = 20
    requests: int = 20_000

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            known = ", ".join(get_args(Objective))
            raise GraphError(f"LightGBM has no objective {self.objective!r}", help=f"there are: {known}")
        for name, least in (("trees", 1), ("leaves", 2), ("min_rows", 1), ("patience", 0), ("requests", 1)):
            checked(self, name, least)
        if not 0 < self.learning_rate <= 1:
            raise GraphError(f"learning_rate={self.learning_rate} is not between 0 and 1", help="learning_rate=0.05")

    @overload
    def __call__(self, first: Candidates, *others: Feature, target: Flag | Number | Record) -> Candidates: ...
    @overload
    def __call__(self, first: Feature, *others: Feature, target: Flag | Number) -> Number: ...
    def __call__(
        self, first: Candidates | Feature, *others: Feature, target: Flag | Number | Record
    ) -> Candidates | Number:
        given = features(self, (first, *others))
        kinds = (Flag,) if self.objective == "binary" else (Flag, Number)
        if isinstance(first, Candidates):
            return ranking(self, first, given, target, (*kinds, Reference), self.requests)
        if self.objective == "lambdarank":
            raise GraphError(
                f"{self} ranks candidates, and has none",
                help="give candidates first: found = mt.retrieve(Film, k=200, by=[...]), then (found, ...)",
            )
        return predicted(self, given, target, kinds)

    def fit(self, batch: Batch, target: Any) -> State:
        seen = examples(self, batch, np.asarray(target, np.float64), graded=self.objective == "lambdarank")
        values = {name: take(value, seen.rows) for name, value in batch.features().items()}
        state = State(layout=layout(values), objective=self._learnt(seen))
        X = matrix(state, values)
        trees = self._best_trees(X, seen, state, batch)
        booster = self._train(X, seen, state, batch, trees, f"all {len(X):,} rows")
        return State(layout=state["layout"], booster=booster.model_to_string())

    def _best_trees(self, X: Array, seen: Examples, state: State, batch: Batch) -> int:
        """How many trees are worth it, by the latest examples; all where those would tell nothing."""
        early, late = seen.split(HELD_OUT)
        if not self.patience or not early.tells() or not late.tells():
            return self.trees
        held_out = (X[late.within(seen)], late)
        said = "finding the number of trees"
        booster = self._train(X[early.within(seen)], early, state, batch, self.trees, said, held_out)
        return max(1, booster.best_iteration)

    def _train(
        self,
        X: Array,
        seen: Examples,
        state: State,
        batch: Batch,
        trees: int,
        said: str,
        valid: tuple[Array, Examples] | None = None,
    ) -> Any:
        lgb = library("lightgbm")
        ranks = self.objective == "lambdarank"
        coded = categories(state["layout"])
        sizes = seen.sizes if ranks else None
        train = lgb.Dataset(X, seen.labels, group=sizes, categorical_feature=coded, params={"verbosity": -1})
        callbacks: list[Callable[[Any], None]] = [lambda env: batch.progress(env.iteration + 1, trees, said)]
        sets: list[Any] = []
        if valid is not None:
            callbacks.append(lgb.early_stopping(self.patience, first_metric_only=True, verbose=False))
            late = valid[1]
            sizes = late.sizes if ranks else None
            sets.append(lgb.Dataset(valid[0], late.labels, group=sizes, reference=train))
        given = self._parameters(state["objective"], batch.seed, len(X))
        return lgb.train(given, train, trees, valid_sets=sets, callbacks=callbacks)

    def learns_chances(self) -> bool:
        return self.objective != "lambdarank"

    def _learnt(self, seen: Examples) -> str:
        """The library's objective: yes and no are learnt otherwise than what lies between them."""
        sure = self.objective != "binary" or np.isin(chances(self, seen), (0, 1)).all()
        return self.objective if sure else "cross_entropy"

    def _parameters(self, objective: str, seed: int, rows: int) -> dict[str, Any]:
        return {
            "objective": objective,
            "metric": METRIC[objective],
            "eval_at": [10],
            # With one success in a hundred candidates, weighing all requests alike ranks below the order it is given.
            "lambdarank_norm": False,
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.min_rows,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1 if rows < MANY else threads(),
            "verbosity": -1,
        }

    def apply(self, state: State, batch: Batch) -> Array:
        if not batch.rows:
            return np.zeros(0)
        X = matrix(state, batch.features())
        return state.opened(_booster).predict(X, num_threads=1 if len(X) < FEW else threads())


def _booster(state: State) -> Any:
    return library("lightgbm").Booster(model_str=state["booster"])
