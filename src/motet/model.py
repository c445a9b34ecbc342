"""What a model is: a frozen, self-checking config that turns columns into columns.

To add one, write one file with one frozen dataclass:

    @dataclass(frozen=True)
    class Doubled(Model):
        def __call__(self, number: Number) -> Number:           # its own signature, typed
            return column(Number, self, number=number)          # motet.column

        def apply(self, state: State, batch: Batch) -> Array:   # values, as motet.batch describes them
            return batch["number"] * 2

A model that learns calls `learn(self, target=..., **inputs)` for the state and hands it on:
`column(Number, self, fit, **inputs)`; its `fit(batch, target)` makes the State. A model of several parts (the
item tower and the request tower of a recommender) makes one column for each, with a small Model of its own, and
all share the one `fit`. `Whole(column)` hands a table over as a whole instead of row by row. Entities are
known to a state by their keys, never by row number, since rows come and go after the fit. What a process loads once is
loaded by `motet.clock` (`library("lightgbm")`, `once()`) or `State.opened`, so that no call is billed for it.
Nothing here knows any particular model.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np

from motet.batch import Batch
from motet.clock import once
from motet.errors import GraphError, RunError, listed, nearest
from motet.worded import worded

T = TypeVar("T")


class State:
    """What a model has learnt: named arrays, texts, bytes and plain values. Never changed after it is made."""

    def __init__(self, **parts: Any) -> None:
        self.parts: Mapping[str, Any] = parts
        self._opened: dict[Callable[..., Any], Any] = {}

    def __reduce__(self) -> Any:
        return _state, (dict(self.parts),)

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    def opened(self, build: Callable[[State], T]) -> T:
        """A live object made from the state (a booster, a session), made once."""
        if build not in self._opened:
            with once():
                self._opened[build] = build(self)
        return cast(T, self._opened[build])


def _state(parts: Mapping[str, Any]) -> State:
    """A state in another process, where nothing is opened yet."""
    return State(**parts)


NOTHING = State()


@dataclass(frozen=True)
class Model:
    """A frozen config. Subclasses bring their own `__call__`, `apply` and, if they learn, `fit`.

    version: raised by hand when the same config and inputs give other values; part of every fingerprint.
    costly: its rows are worth keeping one by one, so an unchanged row is never computed again.
    crosses: reads requests and items each at their own grain and gives Scores of all against all.
    calls_llm: a call takes long, so on the request path it needs a deadline and, per candidate, a bound.
    torch: its fit takes steps in torch, which a cluster may have a place of its own for.
    deep: it is a neural network of several layers, its own or one that comes in a package.
    reads_turns: the event's text that it reads is a conversation, so a chat gives all of its turns (motet.turns).
    packaged: the files of `motet.weights` that it may read, by what their names begin with.
    """

    version: ClassVar[int] = 1
    costly: ClassVar[bool] = False
    crosses: ClassVar[bool] = False
    calls_llm: ClassVar[bool] = False
    torch: ClassVar[bool] = False
    deep: ClassVar[bool] = False
    reads_turns: ClassVar[bool] = False
    packaged: ClassVar[tuple[str, ...]] = ()

    if not TYPE_CHECKING:  # a type checker sees each model's own fields

        def __new__(cls, *args: Any, **fields: Any) -> Any:
            _check_fields(cls, args, fields)
            return super().__new__(cls)

        def __init_subclass__(cls, **given: Any) -> None:
            super().__init_subclass__(**given)
            if "__call__" in vars(cls):
                cls.__call__ = worded(str)(cls.__call__)

    def fit(self, batch: Batch, target: Any) -> State:
        """Learns from columns of equal length and the outcome beside them (None where it needs none)."""
        raise RunError(f"{self} has nothing to fit", help="def fit(self, batch: Batch, target: Any) -> State")

    def apply(self, state: State, batch: Batch) -> Any:
        """The result for each row of the batch."""
        raise RunError(f"{self} has no result of its own", help="def apply(self, state: State, batch: Batch) -> Array")

    def block(self) -> int:
        """Rows that are computed and kept at a time when it is costly: what a kill loses at most."""
        return 256

    def learns_chances(self) -> bool:
        """Whether it can learn a Flag from how likely that is, a Number from 0 to 1: what a teacher says of it."""
        return False

    def identity(self) -> str:
        """The config as text: equal texts mean equal models. Part of every fingerprint."""
        return f"{type(self).__module__}.{type(self).__qualname__}/{self.version} {_canonical(self)}"

    def __str__(self) -> str:
        first, *others = [f.name for f in dataclasses.fields(self)] or [""]
        changed = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default
        }
        said = [_short(changed[first])] if first in changed else []
        said += [f"{name}={_short(changed[name])}" for name in others if name in changed]
        return f"{type(self).__name__}({', '.join(said)})"


def _check_fields(model: type[Any], args: tuple[Any, ...], fields: Mapping[str, Any]) -> None:
    """Errors: more values than the config has fields, or one that it does not have."""
    signature = inspect.signature(model.__init__)
    try:
        signature.bind_partial(None, *args, **fields)
    except TypeError as error:
        known = list(signature.parameters)[1:]
        odd = next((name for name in fields if name not in known), "")
        wrong = f"has no {odd!r}" if odd else f"cannot be made so: {error}"
        shown = nearest(known, odd) or next(iter(known), "")
        example = _example(signature.parameters[shown]) if shown else ""
        text = f"{model.__name__} {wrong}; {listed(known, odd)}"
        raise GraphError(text, help=f"{model.__name__}({example})") from None


def _example(field: inspect.Parameter) -> str:
    """A field as it may be written."""
    return f"{field.name}={'...' if field.default is field.empty else _short(field.default)}"


def _short(value: Any) -> str:
    """A value as its author would write it, records by name."""
    return value.__name__ if isinstance(value, type) else repr(value)


def digest(*parts: str | bytes) -> str:
    """A fingerprint of the parts, in order."""
    made = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        made.update(len(raw).to_bytes(8, "little") + raw)
    return made.hexdigest()


def _canonical(model: Any) -> str:
    fields = {f.name: _plain(getattr(model, f.name)) for f in dataclasses.fields(model) if f.init}
    return json.dumps(fields, sort_keys=True, default=str)


def _plain(value: Any) -> Any:
    identity = getattr(value, "identity", None)
    if isinstance(identity, str):
        return identity
    if callable(identity):
        return identity()
    if isinstance(value, np.ndarray):
        return digest(cast("np.ndarray[Any, Any]", value).tobytes())
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in cast("list[Any]", value)]
    return value
