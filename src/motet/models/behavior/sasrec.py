"""SASRec: what comes next, read by attention over what came before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from motet.batch import Batch
from motet.column import Number, Sequence, Vector
from motet.model import Model, State
from motet.models.behavior.sequence import check, learnt, scored
from motet.models.behavior.sequence_config import Config
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
    torch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, history: Sequence, items: type[Entity], content: Vector | None = None) -> Number:
        return scored(self, history, items, content)

    def fit(self, batch: Batch, target: Any) -> State:
        return learnt(self, batch, target, net="sequence_trainer")
