"""DCN-v2: an outcome from categories and numbers, and from what they mean together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, overload

import numpy as np

from motet.batch import Array, Batch, take
from motet.candidates import Candidates
from motet.clock import once
from motet.column import Category, Column, Flag, Number, Reference, Sequence
from motet.errors import GraphError, needs
from motet.model import Model, State
from motet.models.behavior import inputs
from motet.models.behavior.dcn_config import Config
from motet.models.behavior.examples import examples
from motet.models.behavior.features import Feature, features
from motet.models.behavior.outcome import checked, predicted, ranking
from motet.node import name_of
from motet.past import Past
from motet.record import Record

BLOCK = 4096  # rows that go through the net at a time


@dataclass(frozen=True)
class DCN(Model, Config):
    """Deep and cross network: the probability of a Flag from features of any kind and their products.

    Every name of a category, tag or reference has an embedding (of each feature the `names` most frequent), and one
    that was not there at the fit counts as missing; tags and sequences are the mean of theirs. Cross layers multiply
    every feature with every other, a deep net beside them finds the rest. The epoch whose averaged weights predict
    the latest part of the training examples best is kept.

    dim: of an embedding. cross: layers of products, so up to that many features and one more are multiplied.
    hidden: widths of the deep layers, () for none. l2: ridge penalty on embeddings. normalised: deep layers are, by
    batch, so that small embeddings tell names apart; for features of many names, such as who and what, with a strong
    penalty: DCN(normalised=True, l2=0.05, dropout=0.4). held: share of the examples, the latest, that is held out.
    batch: examples a step. rate: of Adam. epochs: at most; patience: epochs without a better validation before it
    stops. requests: past requests whose candidates are learnt from; only with candidates.
    Call: DCN()(Payment.amount, Payment.card, mt.past(Payment.shop, by=Payment.card, last=20), target=Payment.fraud)
        gives a Number. DCN()(found, Film.genres, target=Visit.rating >= 4) ranks candidates.
    Errors: no features, a sequence of numbers, training rows of one class only.
    Source: Wang et al. 2020 (arXiv 2008.13535), full-rank crosses, in parallel with the deep net.
    """

    deep: ClassVar[bool] = True
    torch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("dim", "batch", "epochs", "patience", "names", "requests"):
            checked(self, name, 1)
        checked(self, "cross", 0)
        if not self.cross and not self.hidden:
            raise GraphError("DCN without cross layers and hidden ones learns nothing", help="DCN(cross=3)")
        if any(width < 1 for width in self.hidden):
            raise GraphError(f"{self}: a layer has a width from 1 up", help="DCN(hidden=(256, 128))")
        if not (0 <= self.dropout < 1 and 0 < self.held < 1 and self.l2 >= 0 and self.rate > 0):
            raise GraphError(
                f"{self}: 0 <= dropout < 1, 0 < held < 1, 0 <= l2 and 0 < rate", help="DCN(dropout=0.1, held=0.1)"
            )

    @overload
    def __call__(
        self, first: Candidates, *others: Feature | Sequence | Record, target: Flag | Record
    ) -> Candidates: ...
    @overload
    def __call__(
        self, first: Feature | Sequence | Record, *others: Feature | Sequence | Record, target: Flag
    ) -> Number: ...
    def __call__(
        self,
        first: Candidates | Feature | Sequence | Record,
        *others: Feature | Sequence | Record,
        target: Flag | Record,
    ) -> Candidates | Number:
        given = features(self, (first, *others), also=(Reference, Sequence))
        for column in given.values():
            self._check_names(column)
        if isinstance(first, Candidates):
            return ranking(self, first, given, target, (Flag, Reference), self.requests)
        return predicted(self, given, target, (Flag,))

    def _check_names(self, column: Column) -> None:
        past = column.node
        if isinstance(past, Past) and not isinstance(past.past_value, (Reference, Category)):
            raise GraphError(
                f"{self} reads sequences of references or categories, and {name_of(column)} is one of "
                f"{name_of(past.past_value)}",
                help=f"aggregate it first: {name_of(column)}.mean(), .sum(), .max(), .count() or .since()",
            )

    def fit(self, batch: Batch, target: Any) -> State:
        try:
            with once():
                from motet.models.behavior import dcn_train
        except ModuleNotFoundError:
            raise needs("torch", "torch") from None
        seen = examples(self, batch, np.asarray(target, np.float64))
        values = {name: take(value, seen.rows) for name, value in batch.features().items()}
        laid = State(layout=inputs.layout(values, self.names))

        def tell(epoch: int, epochs: int, loss: float, rate: float) -> None:
            batch.progress(epoch, epochs, f"loss {loss:.3f}, {rate:,.0f} rows/s")

        rows = inputs.encoded(laid, values)
        made = dcn_train.fit(rows, seen, laid["layout"], config=self, seed=batch.seed, progress=tell)
        return State(layout=laid["layout"], **made)

    def apply(self, state: State, batch: Batch) -> Array:
        made = np.zeros(batch.rows)
        if not batch.rows:
            return made
        rows = inputs.encoded(state, batch.features())
        for low in range(0, batch.rows, BLOCK):
            part = rows.take(np.arange(low, min(low + BLOCK, batch.rows)))
            made[low : low + BLOCK] = predictions(state, part)
        return made


def predictions(state: State, rows: inputs.Encoded) -> Array:
    """The probability of each row, by the net that dcn_net.Net is: float64 [n]."""
    table = state["table"]
    pooled = [
        np.add.reduceat(table[bag.values], bag.starts) / bag.lengths[:, None].astype(np.float32)
        for bag in (bag.compact() for bag in rows.bags)
    ]
    first = np.hstack([table[rows.codes].reshape(len(rows), -1), *pooled, rows.numbers])
    crossed, deep = first, first
    for weight, bias in zip(state["cross"], state["cross_bias"], strict=True):
        crossed = first * (crossed @ weight.T + bias) + crossed
    for i in range(state["layers"]):
        deep = np.maximum(deep @ state[f"deep{i}"].T + state[f"deep_bias{i}"], 0)
    both = np.hstack([crossed, deep]) if state["layers"] else crossed
    odds = (both @ state["out"]).astype(np.float64) + state["bias"]
    return 0.5 * (1 + np.tanh(odds / 2))
