"""A plain function as a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pyarrow as pa

from motet.batch import Batch
from motet.candidates import Candidates
from motet.column import Column, argument, column
from motet.errors import GraphError, RunError, listed
from motet.model import Model, State, digest
from motet.models.returned import KINDS

K = TypeVar("K", bound=Column)


@dataclass(frozen=True)
class Function(Model, Generic[K]):
    """A plain function of whole columns; see `function`."""

    fn: Callable[..., Any]
    kind: type[K]
    revision: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            known = listed((kind.__name__ for kind in KINDS), getattr(self.kind, "__name__", ""))
            raise GraphError(f"no function makes a {self.kind!r}", help=known)

    def __call__(self, *columns: Column) -> K:
        if not columns:
            raise GraphError(f"{self} was given no column", help=f"{self}(Film.year)")
        given = [argument(self, c) for c in columns]
        named: dict[str, Any] = {f"arg{i}": c.score if isinstance(c, Candidates) else c for i, c in enumerate(given)}
        return column(self.kind, self, **named)

    def apply(self, state: State, batch: Batch) -> Any:
        given = [batch[f"arg{i}"] for i in range(len(batch.columns))]
        try:
            made = self.fn(*given)
        except Exception as error:
            raise RunError(f"{self} failed: {type(error).__name__}: {error}", help=_place(self.fn)) from error
        try:
            value = KINDS[self.kind](made)
        except (TypeError, ValueError, pa.ArrowException) as error:
            wanted = f"{self} makes a {self.kind.__name__}, and gave a {type(made).__name__} that is none"
            raise RunError(f"{wanted}: {error}", help=_place(self.fn)) from error
        if len(value) != batch.rows:
            raise RunError(f"{self} gave {len(value)} values for {batch.rows} rows", help=_place(self.fn))
        return value

    def identity(self) -> str:
        return f"motet.function/{self.version} {self.kind.__name__} {self.revision} {code_digest(self.fn)}"

    def __str__(self) -> str:
        return getattr(self.fn, "__name__", type(self.fn).__name__)


def function(kind: type[K], revision: int = 1) -> Callable[[Callable[..., Any]], Function[K]]:
    """Makes a model of a function from whole columns to one column of the given kind.

        @mt.function(mt.Number)
        def decade(year: np.ndarray) -> np.ndarray:
            return year // 10 * 10

        decade(Film.year)

    It is given a float64 array for a Number or Flag (missing is NaN), int64 microseconds for a Time, an Arrow
    array for a Text, a float32 matrix for a Vector, and `Codes` or `Ragged` of motet.batch for the others. It
    returns as many values, as an array or a list; None is a missing one. The same row must always give the
    same value.

    Changed code, or a changed constant that it reads, is a new model: what was computed with it is computed
    again. What it reads otherwise (a file, an object) cannot be seen: raise `revision` when that changes.
    """
    return lambda fn: Function(fn, kind, revision)


def code_digest(fn: Any, seen: frozenset[Any] = frozenset()) -> str:
    """A fingerprint of a function's code and of the constants and functions that it reads."""
    code = getattr(fn, "__code__", None)
    if code is None or fn in seen:
        return digest(_name(fn))
    read = inspect.getclosurevars(fn)
    outside = {**read.globals, **read.nonlocals}
    parts = [f"{name}={_constant(value, seen | {fn})}" for name, value in sorted(outside.items())]
    return digest(_source(fn), repr(fn.__defaults__), repr(fn.__kwdefaults__), *parts)


def _source(fn: Any) -> str:
    compiled = f"{fn.__code__.co_code!r} {fn.__code__.co_consts!r} {fn.__code__.co_names!r}"
    if fn.__name__ == "<lambda>":  # its line may hold others
        return compiled
    try:
        return inspect.getsource(fn)
    except (OSError, TypeError):
        return compiled


def _constant(value: Any, seen: frozenset[Any]) -> str:
    if isinstance(value, np.ndarray):
        array = cast("np.ndarray[Any, Any]", value)
        return digest(str(array.dtype), array.tobytes())
    if inspect.isfunction(value):
        return code_digest(value, seen)
    if isinstance(value, (bool, int, float, str, bytes, tuple, list, dict, frozenset, type(None))):
        return repr(cast(object, value))
    return _name(value)


def _name(value: object) -> str:
    named = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return named or f"{type(value).__module__}.{type(value).__qualname__}"


def _place(fn: Any) -> str:
    code = getattr(fn, "__code__", None)
    return f"look at {code.co_filename}:{code.co_firstlineno}" if code else f"look at {_name(fn)}"
