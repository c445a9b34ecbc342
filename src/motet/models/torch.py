"""Any torch.nn.Module as a model."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
import pyarrow as pa

from motet import sessions
from motet.batch import Array, Batch, Codes, Vocabulary, take
from motet.candidates import Candidates, ranked
from motet.clock import library, once
from motet.column import Category, Column, Flag, Number, Reference, Vector, column, learn
from motet.errors import GraphError, RunError, an, counted, needs
from motet.model import Model, State, digest
from motet.models.behavior.examples import examples
from motet.models.behavior.features import Feature, averages, design, features, layout
from motet.models.behavior.outcome import asked_at, check_frame, outcome
from motet.models.content.classify import Labelled
from motet.models.function import code_digest, value_digest
from motet.models.named import check_names
from motet.node import event_of, name_of
from motet.record import Record, filled

Input: TypeAlias = Number | Flag | Category | Vector
Tensors: TypeAlias = "dict[str, Array]"
TARGETS: dict[type[Column], tuple[type[Column], ...]] = {Number: (Flag, Number), Category: (Category,)}


@dataclass(frozen=True)
class Torch(Model):
    """Any torch.nn.Module, used as it is or trained by a function of yours; what serves it needs no torch.

    module: it is copied, so what is done to it later changes nothing here. A changed weight, setting or line of a
        class that is not torch's own makes a new model.
    kind: what it gives. mt.Number: [n] or [n, 1]. mt.Vector: [n, d]. mt.Category: [n, labels], the logits of each
        label; the result is then Labelled, with the label and its probability.
    train: a function that is called with (module, inputs, target) and trains the module in place. inputs: its tensors,
        in order, of all training rows whose outcome is known, the oldest first. target: float32 [n], or for a
        Category int64 [n], its place among the labels. The seed is set. Without it nothing is learnt, and a
        target is only what an evaluation holds the result against.
    labels: what the logits stand for, in order; only for a Category that is not trained.
    onnx: False keeps the module itself, where it cannot be exported; then serving needs torch and its class.
    requests: past requests whose candidates are learnt from, drawn at random; only with candidates.
    Call: Torch(net)(Payment.amount, embed(Payment.memo)): the columns that come by position are one matrix, float32
        [n, width], for the module's first argument: a category as a column per name, tags as a column each, vectors by
        their dimensions. Torch(net)(amount=Payment.amount, kind=Payment.kind): those that come by name are a tensor
        each for the argument of that name: a Number or Flag float32 [n], a Vector float32 [n, d], a Category int64
        [n], its place among its labels (or sorted names) from 1 up, 0 where it is missing or new. A missing number is
        the average of the training rows; where something is learnt, one that none of those has is missing ever after.
        With train=, target= is the outcome that is learnt, and Torch(net, train=fit)(found, Film.year,
        target=Visit.liked) ranks candidates.
    Errors: no module, arguments that it does not have or is not given, an output of another shape, one that depends on
        the other rows, a module that ONNX cannot express; for a Flag, outputs that are no probabilities.
    """

    torch: ClassVar[bool] = True

    module: Any
    kind: type[Column] = Number
    train: Callable[..., Any] | None = None
    labels: tuple[str, ...] = ()
    onnx: bool = True
    requests: int = 20_000

    def __post_init__(self) -> None:
        forward = getattr(self.module, "forward", None)
        if isinstance(self.module, type) or not callable(forward) or not hasattr(self.module, "state_dict"):
            raise GraphError(f"{self.module!r} is no torch module", help="mt.Torch(torch.nn.Linear(3, 1))")
        if self.kind not in (Number, Vector, Category):
            known = "kind=mt.Number, mt.Vector or mt.Category"
            raise GraphError(f"no module makes a {getattr(self.kind, '__name__', self.kind)}", help=known)
        if self.train is not None and self.kind is Vector:
            raise GraphError(
                f"{self} cannot be trained: no outcome is a Vector", help="train it before, or kind=Number"
            )
        if (self.kind is Category and self.train is None) != bool(self.labels):
            why = "needs the labels that its logits stand for" if not self.labels else "takes no labels"
            raise GraphError(f"{self} {why}", help='mt.Torch(net, kind=mt.Category, labels=("low", "high"))')
        object.__setattr__(self, "module", copy.deepcopy(self.module))

    def __call__(
        self, *given: Candidates | Feature, target: Flag | Number | Category | Record | None = None, **named: Input
    ) -> Any:
        first = given[0] if given and isinstance(given[0], Candidates) else None
        read = self._read(given, named)
        if target is None and self.train is not None:
            raise GraphError(f"{self} has nothing to learn", help="mt.Torch(net, train=fit)(..., target=Visit.liked)")
        if target is not None and self.kind is Vector:
            raise GraphError(f"{self} gives a Vector, which no outcome is", help="leave the target out")
        if first is not None:
            return self._ranked(first, read, target)
        wanted = None if target is None else outcome(self, target, TARGETS.get(self.kind, ()))
        learnt = {} if wanted is None or self.train is None else {"target": wanted, "at": asked_at(wanted)}
        fit = learn(self, **learnt, **read)
        if event_of(fit.frame) is not None:
            check_frame(self, fit)
        held = wanted if self.train is None else None
        if self.kind is Category:
            return filled(Labelled, column(Column, self, fit, held_against=held, **read))
        return column(self.kind, self, fit, held_against=held, **read)

    def _ranked(self, first: Candidates, read: dict[str, Any], target: Any) -> Candidates:
        if self.train is None or self.kind is not Number:
            raise GraphError(
                f"{self} ranks candidates by a Number that it learns, and learns none",
                help="train=..., target=Visit.liked; or export a module that is trained already: mt.ONNX(file)(found)",
            )
        wanted = outcome(self, target, (Flag, Number, Reference))
        fit = learn(self, target=wanted, among=first, requests=self.requests, at=asked_at(wanted), **read)
        return ranked(first, column(Number, self, fit, among=first, **read))

    def _read(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        """The columns by name: the features of the matrix, and the tensors of their own behind "input."."""
        known, needed = _arguments(self.module)
        got = ([known[0]] if given and known else []) + list(named)
        check_names(self, "argument", got, known, needed)
        if given and (not known or known[0] in named):
            raise GraphError(f"{self} is given its first argument twice", help="give columns by position or by name")
        for name, each in named.items():
            if isinstance(each, Column) and not isinstance(each, Input):
                raise GraphError(
                    f"{self} reads {name} as numbers, and {name_of(each)} is {an(each.kind)}",
                    help="give a Number, Flag, Category or Vector, or by position what has several names: Tags",
                )
        if not given and not named:
            raise GraphError(f"{self} has nothing to read", help="mt.Torch(net)(Payment.amount)")
        return (features(self, given) if given else {}) | {f"input.{name}": each for name, each in named.items()}

    def fit(self, batch: Batch, target: Any) -> State:
        try:
            with once():
                from motet.models import torch_fit
        except ModuleNotFoundError:
            raise needs("torch", "torch") from None
        rows, labels, names = self._examples(batch, target)
        seen = Batch({name: take(v, rows) for name, v in batch.columns.items() if _is_input(name)}, rows=len(rows))
        parts = _layout(self, seen)
        tensors = _tensors(State(**parts), seen)
        module = torch_fit.trained(self, tensors, labels, batch.seed, batch.progress)
        chance = batch.groups is None and labels is not None and bool(np.isin(labels, (0, 1)).all())
        made = torch_fit.kept(self, module, tensors, chance and self.kind is Number)
        return State(**parts, names=names, made=np.frombuffer(made, np.uint8))

    def _examples(self, batch: Batch, target: Any) -> tuple[Array, Array | None, list[str]]:
        """The rows to learn from, what each is to give, and what the labels are called."""
        if self.train is None:
            if not batch.rows:
                raise RunError(f"{self} has no row to see its inputs' shapes in", help="give data with a row or more")
            return np.arange(batch.rows), None, list(self.labels)
        if not isinstance(target, Codes) or self.kind is Number:
            seen = examples(self, batch, np.asarray(target, np.float64))
            return seen.rows, seen.labels.astype(np.float32), []
        rows = np.flatnonzero(target.codes >= 0)
        rows = rows[np.argsort(batch["at"][rows], kind="stable")]
        codes, places = np.unique(target.codes[rows], return_inverse=True)
        names: list[str] = target.names.names.take(pa.array(codes)).to_pylist()
        if len(names) < 2:
            raise RunError(
                f"{self} has {counted(len(names), 'label')} in {counted(len(target), 'row')}, and learns to tell labels"
                " apart",
                help="train on events that differ in the target",
            )
        return rows, places.astype(np.int64), names

    def apply(self, state: State, batch: Batch) -> Any:
        made = self._run(state, _tensors(state, batch)) if batch.rows else np.zeros((0, max(len(state["names"]), 1)))
        if self.kind is Number:
            return made.reshape(batch.rows).astype(np.float64)
        if self.kind is Vector:
            return made.astype(np.float32)
        odds = np.exp(made.astype(np.float64) - made.max(axis=1, keepdims=True, initial=-np.inf))
        best = odds.argmax(axis=1).astype(np.int32)
        return {"label": Codes(best, state.opened(_names)), "confidence": odds.max(axis=1) / odds.sum(axis=1)}

    def _run(self, state: State, tensors: Tensors) -> Array:
        if self.onnx:
            return np.asarray(state.opened(_session).run(None, tensors)[0])
        try:
            with once():
                from motet.models import torch_fit
        except ModuleNotFoundError:
            raise needs("torch", "torch") from None
        return torch_fit.run(state.opened(torch_fit.unpickled), tensors)

    def identity(self) -> str:
        config = f"{self.kind.__name__} {self.labels} {self.onnx} {self.requests}"
        learns = "" if self.train is None else code_digest(self.train)
        return f"motet.torch/{self.version} {self._digest} {config} {learns}"

    @cached_property
    def _digest(self) -> str:
        """Of the module's parts, their settings and code, and of every weight."""
        parts = self.module.named_modules(remove_duplicate=False)
        return digest(*(f"{name} {_settled(each)}" for name, each in parts), value_digest(_plain(self.module)))

    def __str__(self) -> str:
        return f"Torch({type(self.module).__name__})"


def _arguments(module: Any) -> tuple[list[str], list[str]]:
    """The names of what a module's forward takes, and of what it must be given."""
    given = [p for p in inspect.signature(module.forward).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    return [p.name for p in given], [p.name for p in given if p.default is p.empty]


def _settled(part: Any) -> str:
    """A part of a module: its class, how it is set, and its code where it is not torch's own."""
    kind = cast(Any, type(part))
    own: list[Any] = [each for each in kind.__mro__ if not each.__module__.startswith(("torch.", "builtins"))]
    members: list[Any] = [each for one in own for each in one.__dict__.values() if inspect.isfunction(each)]
    code = sorted(code_digest(each) for each in members)
    inner = cast("dict[str, Any]", vars(library("torch").nn.Module()))  # weights, which are digested all together
    held = {name: value for name, value in cast("dict[str, Any]", vars(part)).items() if name not in inner}
    held |= dict(part.named_buffers(recurse=False))  # those too that are not kept with the weights
    return f"{kind.__module__}.{kind.__qualname__} {part.extra_repr()} {value_digest(_plain(held))} {code}"


def _plain(value: Any) -> Any:
    """A value in whose lists and dicts tensors are arrays and modules their names and weights."""
    torch = library("torch")
    if isinstance(value, torch.Tensor):
        still: Any = value.detach().cpu()
        narrow = still.is_floating_point() and still.itemsize < 4  # some of which NumPy does not have
        return str(still.dtype), np.asarray(still.float() if narrow else still)
    if isinstance(value, torch.nn.Module):
        return type(value).__qualname__, _plain(value.state_dict())
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        inside = [_plain(each) for each in cast("list[Any]", value)]
        return tuple(inside) if isinstance(value, tuple) else inside
    return value


def _is_input(name: str) -> bool:
    return name.startswith(("feature", "input."))


def _layout(model: Torch, batch: Batch) -> dict[str, Any]:
    """Where the matrix has which feature, the names that codes stand for, and what missing numbers become."""
    values, named = batch.features(), _named(batch)
    parts = layout(values, learns=model.train is not None) if values else []
    mean = averages(design(State(layout=parts), values)) if values else np.zeros(0)
    known = {name: value.names.tolist() for name, value in named.items() if isinstance(value, Codes)}
    numbers = {name: np.asarray(v) for name, v in named.items() if not isinstance(v, Codes) and np.ndim(v) == 1}
    usual = {name: float(averages(value[:, None])[0]) for name, value in numbers.items()}
    blank = [name for name, value in numbers.items() if model.train is not None and np.isnan(value).all()]
    first = _arguments(model.module)[0][0] if values else ""
    return {"layout": parts, "mean": mean, "known": known, "usual": usual | dict.fromkeys(blank), "first": first}


def _named(batch: Batch) -> dict[str, Any]:
    return {name.removeprefix("input."): v for name, v in batch.columns.items() if name.startswith("input.")}


def _tensors(state: State, batch: Batch) -> Tensors:
    """What the module is called with, by the names of its arguments."""
    made: Tensors = {}
    values = batch.features()
    if values:
        X = design(state, values)
        made[state["first"]] = np.where(np.isnan(X), state["mean"], X).astype(np.float32)
    for name, value in _named(batch).items():
        made[name] = _tensor(state, name, value)
    return made


def _tensor(state: State, name: str, value: Any) -> Array:
    if isinstance(value, Codes):
        return value.coded_by(state.opened(_known)[name]).astype(np.int64) + 1
    array = np.asarray(value)
    if array.ndim == 2:
        return array.astype(np.float32)
    usual = state["usual"][name]
    filled = np.where(np.isnan(array), usual, array) if usual is not None else np.zeros(len(array))
    return filled.astype(np.float32)


def _known(state: State) -> dict[str, Vocabulary]:
    known = cast("dict[str, list[str]]", state["known"])
    return {name: Vocabulary(pa.array(names, pa.large_string())) for name, names in known.items()}


def _names(state: State) -> Vocabulary:
    return Vocabulary(pa.array(state["names"], pa.large_string()))


def _session(state: State) -> Any:
    return sessions.opened(np.asarray(state["made"]).tobytes())
