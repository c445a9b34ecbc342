"""What every model of two towers over histories is on the graph: its columns, its fit, what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.apply import Whole
from motet.batch import Array, Batch, Ragged
from motet.clock import library
from motet.column import Number, Sequence, Vector, column
from motet.errors import GraphError, an, needs
from motet.model import Model, State
from motet.models.behavior import sequence_towers as towers
from motet.models.behavior.interactions import learnt_from
from motet.models.behavior.known import places, plain
from motet.models.behavior.outcome import checked
from motet.models.behavior.sequence_config import Config, Towers
from motet.models.behavior.sequences import sequences
from motet.node import item_of, name_of
from motet.record import Entity

WHOLE = ("dim", "length", "batch", "epochs", "patience", "held")
SECOND = 1_000_000


def check(model: Any) -> None:
    """Refuses settings that no training could have."""
    attends = isinstance(model, Config)
    for name in (*WHOLE, *(("blocks", "heads") if attends else ())):
        checked(model, name, 1)
    kind = type(model).__name__
    if attends and model.dim % model.heads:
        raise GraphError(f"{model}: dim is no multiple of heads", help=f"{kind}(dim=64, heads=2)")
    if not (0 <= model.dropout < 1 and model.bound >= 0 and model.rate > 0):
        raise GraphError(f"{model}: 0 <= dropout < 1, 0 <= bound and 0 < rate", help=f"{kind}(dropout=0.2, bound=1)")


def scored(model: Any, history: Sequence, items: type[Entity], content: Vector | None, timed: bool = False) -> Number:
    """A number per request and item, by a column of item vectors and one of request vectors that share one fit.

    timed: the requests' tower reads when things happened too.
    """
    fit = learnt_from(model, history, items)
    told: dict[str, Any] = {}
    if content is not None:
        if not isinstance(cast(Any, content), Vector):
            raise GraphError(
                f"{model} reads content as vectors, and {name_of(content)} is {an(content.kind)}",
                help=f"content=mt.Embed()(a text of {items.__name__})",
            )
        if item_of(content.grain) is not items or len(content.grain) != 1:
            raise GraphError(
                f"{model} reads content per {items.__name__}, and {name_of(content)} is none",
                help=f"content=mt.Embed('minilm-l6')(...) of texts of {items.__name__}",
            )
        told = {"content": content}
        fit = replace(fit, args={**fit.args, "content": Whole(content)})
    vectors = column(Vector, ItemTower(), fit, items=items.key_column(), **told)
    asking = column(Vector, UserTower(model.length, timed), fit, history=history, items=Whole(vectors))
    return vectors @ asking


def learnt(model: Towers, batch: Batch, target: Any, net: str, timed: bool = False) -> State:
    """Both towers, learnt from histories. net: the module of this folder whose RECIPE the model is."""
    try:
        trainer = library("motet.models.behavior.sequence_train")
        recipe = library(f"motet.models.behavior.{net}").RECIPE
    except ModuleNotFoundError:
        raise needs("torch", "torch") from None
    history = cast(Ragged, batch["history"])
    assert history.names is not None
    values, offsets, times = sequences(history, batch["who"], target)
    n = len(history.names)
    content = _rows(batch["content"], n) if "content" in batch else None

    def tell(epoch: int, epochs: int, loss: float, rate: float) -> None:
        batch.progress(epoch, epochs, f"loss {loss:.3f}, {rate:,.0f} items/s")

    made = trainer.fit(
        values,
        offsets,
        n,
        content,
        times=times // SECOND if timed else None,
        config=model,
        recipe=recipe,
        seed=batch.seed,
        progress=tell,
    )
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
    timed: bool = False

    def apply(self, state: State, batch: Batch) -> Array:
        history = cast(Ragged, batch["history"])
        windows = history.windows.last(self.length).compact()
        items = np.vstack([cast(Array, batch["items"]), state["unknown"]])
        strange = (windows.values < 0) | (windows.values >= len(items) - 1)
        values = np.where(strange, len(items) - 1, windows.values)
        times, now = (_moments(history, self.length)) if self.timed else (None, None)
        return towers.users(state.opened(_tower), values, windows.starts, windows.ends, items, times, now)


def _moments(history: Ragged, length: int) -> tuple[Array, Array]:
    """When the items that are read happened, and when each history is asked, in seconds."""
    assert history.times is not None
    assert history.now is not None
    return history.times.last(length).compact().values // SECOND, history.now // SECOND


def _tower(state: State) -> Any:
    return towers.session(state.parts)


def _rows(content: Array, n: int) -> Array:
    """Content for all codes, those too that events named and the table does not have."""
    made = np.zeros((n, content.shape[1]), np.float32)
    made[: len(content)] = content[:n]
    return made
