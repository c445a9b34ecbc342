"""SASRec: what comes next, read by attention over what came before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa

from motet.apply import Whole
from motet.batch import Array, Batch, Ragged
from motet.column import Number, Sequence, Vector, column
from motet.errors import GraphError, needs
from motet.model import Model, State
from motet.models.behavior import sasrec_towers as towers
from motet.models.behavior.interactions import learnt_from
from motet.models.behavior.known import places, plain
from motet.models.behavior.outcome import checked
from motet.models.behavior.sasrec_config import Config
from motet.models.behavior.sequences import sequences
from motet.node import item_of, name_of
from motet.record import Entity


@dataclass(frozen=True)
class SASRec(Model, Config):
    """Self-attentive sequence recommender: scores items by what a history of items leads to.

    Trained with softmax cross-entropy over every item seen in training at every position, which decides its
    quality more than anything else; all of a history is learnt from, in pieces of `length`. The last item of
    up to `held` histories is held out, and the epoch whose averaged weights rank it best is kept.

    dim: of the vectors. blocks, heads: of the attention. length: items of a history that are read.
    bound: the longest residual of an item with content, whose content has length 0.25.
    batch: pieces of history a step. rate: of Adam.
    epochs: at most; patience: epochs without a better validation before it stops.
    Call: SASRec()(mt.past(Visit.film, by=Visit.viewer, last=50), Film, content=meaning). Returns a Number per
        request and item. content: Vector per item, optional. Frozen, seen along its `dim` principal directions and
        normalized; a residual of the item's own, zero at first and never longer than `bound`, is learnt on top, so an
        item that was never seen is scored from content alone. One with neither scores as the least seen tenth of the
        items on average.
    Source: Kang & McAuley 2018 (arXiv 1808.09781); content: Let It Go? (arXiv 2507.19473).
    """

    deep: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("dim", "blocks", "heads", "length", "batch", "epochs", "patience", "held"):
            checked(self, name, 1)
        if self.dim % self.heads:
            raise GraphError(f"{self}: dim is no multiple of heads", help="SASRec(dim=64, heads=2)")
        if not (0 <= self.dropout < 1 and self.bound >= 0 and self.rate > 0):
            raise GraphError(f"{self}: 0 <= dropout < 1, 0 <= bound and 0 < rate", help="SASRec(dropout=0.2, bound=1)")

    def __call__(self, history: Sequence, items: type[Entity], content: Vector | None = None) -> Number:
        fit = learnt_from(self, history, items)
        told: dict[str, Any] = {}
        if content is not None:
            if item_of(content.grain) is not items or len(content.grain) != 1:
                raise GraphError(
                    f"{self} reads content per {items.__name__}, and {name_of(content)} is none",
                    help=f"content=mt.Embed('minilm-l6')(...) of texts of {items.__name__}",
                )
            told = {"content": content}
            fit = replace(fit, args={**fit.args, "content": Whole(content)})
        vectors = column(Vector, ItemTower(), fit, items=items.key_column(), **told)
        asking = column(Vector, UserTower(self.length), fit, history=history, items=Whole(vectors))
        return vectors @ asking

    def fit(self, batch: Batch, target: Any) -> State:
        try:
            from motet.models.behavior import sasrec_train
        except ModuleNotFoundError:
            raise needs("torch", "torch") from None
        history = cast(Ragged, batch["history"])
        assert history.names is not None
        values, offsets = sequences(history, batch["who"], target)
        n = len(history.names)
        content = _rows(batch["content"], n) if "content" in batch else None

        def tell(epoch: int, epochs: int, loss: float, rate: float) -> None:
            batch.progress(epoch, epochs, f"loss {loss:.3f}, {rate:,.0f} items/s")

        made = sasrec_train.fit(values, offsets, n, content, config=self, seed=batch.seed, progress=tell)
        keys = history.names.names.take(pa.array(made.pop("codes")))
        return State(keys=plain(keys), **made)


@dataclass(frozen=True)
class ItemTower(Model):
    """The vector of each item: its content projected, plus its own residual."""

    def apply(self, state: State, batch: Batch) -> Array:
        content = batch.columns.get("content")
        return towers.items(state.parts, content, places(state, batch["items"]))


@dataclass(frozen=True)
class UserTower(Model):
    """The vector of each history's end."""

    length: int

    def apply(self, state: State, batch: Batch) -> Array:
        windows = cast(Ragged, batch["history"]).windows.last(self.length).compact()
        items = np.vstack([cast(Array, batch["items"]), state["unknown"]])
        strange = (windows.values < 0) | (windows.values >= len(items) - 1)
        values = np.where(strange, len(items) - 1, windows.values)
        return towers.users(state.opened(_tower), values, windows.starts, windows.ends, items)


def _tower(state: State) -> Any:
    return towers.session(state.parts)


def _rows(content: Array, n: int) -> Array:
    """Content for all codes, those too that events named and the table does not have."""
    made = np.zeros((n, content.shape[1]), np.float32)
    made[: len(content)] = content[:n]
    return made
