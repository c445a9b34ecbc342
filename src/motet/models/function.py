"""A plain function as a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pyarrow as pa

from motet.batch import Batch
from motet.candidates import Candidates
from motet.column import Column, argument, column
from motet.errors import GraphError, RunError, counted, listed
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
            raise RunError(
                f"{self} gave {counted(len(value), 'value')} for {counted(batch.rows, 'row')}", help=_place(self.fn)
            )
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
    seen = seen | {fn}
    free = {} if fn.__closure__ is None else dict(zip(code.co_freevars, fn.__closure__, strict=True))
    outside = {name: fn.__globals__[name] for name in _names(code) if name in fn.__globals__}
    inside = {name: cell.cell_contents for name, cell in free.items() if _filled(cell)}
    read = [f"{name}={value_digest(value, seen)}" for name, value in sorted({**outside, **inside}.items())]
    defaults = [value_digest(fn.__defaults__, seen), value_digest(fn.__kwdefaults__, seen)]
    return digest(_source(fn, seen), *defaults, *read)


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that is given its value later, such as the function's own
        return False


def _names(code: CodeType) -> set[str]:
    """The names that a code reads, those of comprehensions and functions inside it too."""
    inner = [_names(const) for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*inner)


def _source(fn: Any, seen: frozenset[Any]) -> str:
    """What is written of the code that runs: of a decorator's wrapper its own, and not what it wraps."""
    if fn.__code__.co_name != "<lambda>":  # a lambda's line may hold others
        try:
            return inspect.getsource(fn.__code__)
        except (OSError, TypeError):
            pass
    return _compiled(fn.__code__, seen)


def _compiled(code: CodeType, seen: frozenset[Any]) -> str:
    """A code's instructions and constants, without the addresses that differ from process to process."""
    return digest(code.co_code, *code.co_names, *(value_digest(const, seen) for const in code.co_consts))


def value_digest(value: Any, seen: frozenset[Any] = frozenset()) -> str:
    """A value as text that is equal in every process, its elements one by one."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = cast("np.ndarray[Any, Any]", value)
        held = value_digest(array.tolist(), seen) if array.dtype.hasobject else array.tobytes()
        return digest(str(array.dtype), str(array.shape), held)
    if isinstance(value, CodeType):
        return _compiled(value, seen)
    if inspect.isfunction(value):
        return code_digest(value, seen)
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return digest("dict", *(f"{value_digest(k, seen)}:{value_digest(v, seen)}" for k, v in pairs))
    if isinstance(value, (set, frozenset)):
        return digest("set", *sorted(value_digest(v, seen) for v in cast("set[Any]", value)))
    if isinstance(value, (tuple, list)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return digest(kind, *(value_digest(v, seen) for v in cast("list[Any]", value)))
    if isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
        return repr(value)
    return _name(value)


def _name(value: object) -> str:
    named = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return named or f"{type(value).__module__}.{type(value).__qualname__}"


def _place(fn: Any) -> str:
    code = getattr(fn, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}" if code else _name(fn)
    return f"look at {where}: it is given whole columns as arrays, and returns one value per row"
