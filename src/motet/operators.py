"""What `+ - * / >= & @` and their like do to values: small models that learn nothing."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import Array, Batch, Codes, Factors, Ragged
from motet.model import Model, State

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": np.true_divide,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "&": np.minimum,
    "|": np.maximum,
}


@dataclass(frozen=True)
class Arithmetic(Model):
    """A number or flag from two, or from one and a constant. Missing in, missing out."""

    sign: str
    constant: float | None = None
    flipped: bool = False

    def apply(self, state: State, batch: Batch) -> Array:
        left = np.asarray(batch["left"], np.float64)
        right = self.constant if self.constant is not None else np.asarray(batch["right"], np.float64)
        pair = (right, left) if self.flipped else (left, right)
        with np.errstate(divide="ignore", invalid="ignore"):
            made = np.asarray(BINARY[self.sign](*pair), np.float64)
        made[np.isnan(left) | np.isnan(np.asarray(right, np.float64)) | np.isinf(made)] = np.nan
        return made

    def __str__(self) -> str:
        return self.sign


@dataclass(frozen=True)
class Not(Model):
    def apply(self, state: State, batch: Batch) -> Array:
        return 1.0 - batch["flag"]

    def __str__(self) -> str:
        return "not"


@dataclass(frozen=True)
class Concat(Model):
    """Texts one after the other. A missing one counts as empty; all missing stay missing."""

    parts: tuple[str | None, ...]

    def apply(self, state: State, batch: Batch) -> pa.Array:
        texts = [batch[f"text{i}"] for i, part in enumerate(self.parts) if part is None]
        given = iter(texts)
        pieces = [
            pc.fill_null(next(given), "") if part is None else pa.scalar(part, pa.large_string()) for part in self.parts
        ]
        joined = pc.binary_join_element_wise(*pieces, pa.scalar("", pa.large_string()))
        known = pc.is_valid(texts[0])
        for text in texts[1:]:
            known = pc.or_(known, pc.is_valid(text))
        made = pc.if_else(known, joined, pa.scalar(None, pa.large_string()))
        return made if isinstance(made, pa.Array) else made.combine_chunks()

    def __str__(self) -> str:
        return "concat"


@dataclass(frozen=True)
class Joined(Model):
    """Tags, categories or numbers as text, so that a text model can read them."""

    separator: str = ", "

    def apply(self, state: State, batch: Batch) -> pa.Array:
        value = batch["value"]
        if isinstance(value, Ragged) and value.names is not None:
            names = value.names.names.cast(pa.large_string())
            compact = value.windows.compact()
            lists = pa.LargeListArray.from_arrays(
                np.append(compact.starts, compact.ends[-1:]) if len(compact) else np.zeros(1, np.int64),
                names.take(pa.array(compact.values)),
            )
            return pc.binary_join(lists, pa.scalar(self.separator, pa.large_string()))
        if isinstance(value, Codes):
            mask = value.codes < 0
            return value.names.names.cast(pa.large_string()).take(pa.array(value.codes, mask=mask))
        numbers = np.asarray(value, np.float64)
        texts = [None if np.isnan(x) else f"{x:.15g}" for x in numbers.tolist()]
        return pa.array(texts, pa.large_string())


@dataclass(frozen=True)
class Equals(Model):
    """Whether a category is the named one."""

    name: str

    def apply(self, state: State, batch: Batch) -> Array:
        value = cast(Codes, batch["category"])
        wanted = value.names.codes(pa.array([self.name], value.names.names.type))[0]
        made = np.asarray(value.codes == wanted, np.float64) if wanted >= 0 else np.zeros(len(value))
        return np.where(value.codes < 0, np.nan, made)


@dataclass(frozen=True)
class Has(Model):
    """Whether the named tag is among a row's tags."""

    name: str

    def apply(self, state: State, batch: Batch) -> Array:
        value = cast(Ragged, batch["tags"])
        assert value.names is not None
        wanted = value.names.codes(pa.array([self.name], value.names.names.type))[0]
        windows = value.windows.compact()
        hits = np.concatenate([[0], np.cumsum((windows.values == wanted) & (wanted >= 0))])
        return np.asarray(hits[windows.ends] > hits[windows.starts], np.float64)


@dataclass(frozen=True)
class RowDot(Model):
    """Dot product of two vectors of the same row; a vector of no numbers has none."""

    def apply(self, state: State, batch: Batch) -> Array:
        left, right = batch["left"], batch["right"]
        if not (left.shape[1] and right.shape[1]):
            return np.full(batch.rows, np.nan)
        return np.einsum("nd,nd->n", left, right).astype(np.float64)

    def __str__(self) -> str:
        return "dot"


@dataclass(frozen=True)
class Dot(Model):
    """Dot product of each request's vector with each item's; a vector of no numbers has nothing to say."""

    crosses: ClassVar[bool] = True

    def apply(self, state: State, batch: Batch) -> Factors:
        requests, items = batch["requests"], batch["items"]
        if requests.shape[1] and items.shape[1]:
            return Factors(requests, items)
        return Factors(np.zeros((len(requests), 1), np.float32), np.zeros((len(items), 1), np.float32))

    def __str__(self) -> str:
        return "dot"


@dataclass(frozen=True)
class Lower(Model):
    """Text in lower case."""

    def apply(self, state: State, batch: Batch) -> pa.Array:
        return pc.utf8_lower(batch["text"])


@dataclass(frozen=True)
class Aggregate(Model):
    """One number per history: how many, how much, since when."""

    how: str

    def apply(self, state: State, batch: Batch) -> Array:
        history = cast(Ragged, batch["history"])
        if self.how == "since":
            return _since(history)
        return np.asarray(getattr(history.windows, self.how)(), np.float64)

    def __str__(self) -> str:
        return self.how


def _since(history: Ragged) -> Array:
    assert history.times is not None
    assert history.now is not None
    times = history.times
    some = times.ends > times.starts
    last = times.values[np.where(some, times.ends - 1, 0)] if len(times.values) else np.zeros(len(some), np.int64)
    return np.where(some, (history.now - last) / 1e6, np.nan)


OPERATORS = (Arithmetic, Not, Concat, Joined, Equals, Has, RowDot, Dot, Lower, Aggregate)
