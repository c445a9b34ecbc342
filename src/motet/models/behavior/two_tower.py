"""Two towers: a vector for who asks, one for each item, and their dot product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from motet.batch import Batch
from motet.column import Number, Sequence, Vector
from motet.model import Model, State
from motet.models.behavior.sequence import check, learnt, scored
from motet.models.behavior.sequence_config import Towers
from motet.record import Entity


@dataclass(frozen=True)
class TwoTower(Model, Towers):
    """Scores items by the mean of what was taken before, whatever its order: two towers and a dot product.

    Trained with a softmax over the items of the batch, each corrected by how often it is there (log-Q), so that what is
    popular is not pushed down for being everybody's wrong answer. The loss of a step does not grow with the catalogue,
    but a step does: it makes the vectors of all items, and descends on all of them.
    The last item of up to `held` histories is held out, and the epoch whose averaged weights rank it best is kept.

    dim: of the vectors. length: items of a history that are read. bound: the longest residual of an item with content.
    batch: pieces of history a step. rate: of Adam. epochs: at most; patience: epochs without a better validation
    before it stops.
    Call: TwoTower()(mt.past(Visit.film, by=Visit.viewer, last=50), Film, content=meaning). Returns a Number per request
        and item. content: Vector per item, optional, as SASRec reads it.
    Source: Yi et al. 2019 (RecSys).
    """

    deep: ClassVar[bool] = True
    torch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, history: Sequence, items: type[Entity], content: Vector | None = None) -> Number:
        return scored(self, history, items, content)

    def fit(self, batch: Batch, target: Any) -> State:
        return learnt(self, batch, target, net="two_tower_net")
