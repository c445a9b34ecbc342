"""HSTU: what comes next, read from what came before and from when."""

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
class HSTU(Model, Config):
    """Sequential transduction: like SASRec, with attention that adds up and knows how long ago each item was.

    Weights of attention are taken through SiLU instead of a softmax, so that they say how strong a taste is and not
    only which one; what they read is gated. Every weight has a bias of how many items lie between and of how much time,
    up to the time of the request. Trained as SASRec is: softmax cross-entropy over every item seen in training.

    dim: of the vectors. blocks, heads: of the attention. length: items of a history that are read. bound: the longest
    residual of an item with content. batch: pieces of history a step. rate: of Adam. epochs: at most; patience: epochs
    without a better validation before it stops.
    Call: HSTU()(mt.past(Visit.film, by=Visit.viewer, last=50), Film, content=meaning). Returns a Number per request and
        item. content: Vector per item, optional, as SASRec reads it.
    Source: Zhai et al. 2024 (arXiv 2402.17152).
    """

    deep: ClassVar[bool] = True
    torch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, history: Sequence, items: type[Entity], content: Vector | None = None) -> Number:
        return scored(self, history, items, content, timed=True)

    def fit(self, batch: Batch, target: Any) -> State:
        return learnt(self, batch, target, net="hstu_net", timed=True)
