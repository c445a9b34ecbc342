"""A model that another server answers for, by the Open Inference Protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, TypeAlias, cast
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from motet.batch import Array, Batch, Codes, concat, take
from motet.candidates import Candidates, ranked
from motet.column import Category, Column, Flag, Number, Text, Vector, column
from motet.errors import GraphError, RunError, an, listed
from motet.model import Model, State
from motet.models.behavior.outcome import checked
from motet.models.inference import NUMBERS, Card, Client, Tensor, client
from motet.models.returned import KINDS
from motet.node import name_of

Input: TypeAlias = Number | Flag | Category | Text | Vector
MADE = (Number, Flag, Category, Text, Vector)
USUAL: Mapping[type[Column], tuple[str, tuple[int, ...]]] = {
    Number: ("FP64", (-1,)),
    Flag: ("BOOL", (-1,)),
    Category: ("BYTES", (-1,)),
    Text: ("BYTES", (-1,)),
    Vector: ("FP32", (-1, -1)),
}
"""What a column is sent as to a model that says nothing of its inputs."""
RANKS = (1, 2)


@dataclass(frozen=True)
class Endpoint(Model):
    """A model behind the Open Inference Protocol v2 (KServe, Triton, MLServer, Motet): one row in, one row out.

    url: of the server, without /v2. model: what it is called there. revision: which version of it; without one, the
        server's own choice. The model is known by name and revision, wherever it is served: give another revision when
        other weights answer under the same name.
    kind: what it gives: mt.Number, mt.Flag, mt.Category, mt.Text or mt.Vector. output: which of its outputs, where it
        has several. seconds: the most that one call may take. rows: of one call at most.
    Call: Endpoint("http://fraud:8080", "fraud")(amount=Payment.amount, memo=Payment.memo), by the names of the model's
        inputs; Endpoint(url, "ranker")(found, year=Film.year) ranks candidates. A Number or Flag is an input of shape
        [n] or [n, 1] of numbers, a Vector one of [n, d], a Text or Category one of BYTES. Names, shapes and datatypes
        are compared with the model's own description at the first call. A row with a missing value that the input
        cannot hold (an integer; any number where the server takes JSON only) is not asked about: it is missing.
    Errors: a description that does not fit the columns is a GraphError; a server that is away, late or refuses is a
        RunError, so that .otherwise(...) answers.
    """

    url: str
    model: str
    kind: type[Column] = Number
    output: str = ""
    revision: str = ""
    seconds: float = 2.0
    rows: int = 256

    costly: ClassVar[bool] = True

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise GraphError(f"{self.url!r} is no http(s) address", help='mt.Endpoint("http://host:8080", "fraud")')
        if parts.username or parts.password or parts.query:
            raise GraphError("an endpoint's url holds no password and no query", help="let a proxy beside it log in")
        if not self.model:
            raise GraphError("an endpoint's model has a name", help='mt.Endpoint("http://host:8080", "fraud")')
        if self.kind not in MADE:
            known = listed(each.__name__ for each in MADE)
            raise GraphError(f"no endpoint makes a {getattr(self.kind, '__name__', self.kind)}", help=known)
        if not self.seconds > 0:
            raise GraphError(f"nothing is answered within {self.seconds} seconds", help="seconds=2")
        checked(self, "rows", 1)

    def __call__(self, candidates: Candidates | None = None, /, **inputs: Input) -> Any:
        if not inputs:
            raise GraphError(f"{self} is given no input", help=f"{self}(amount=Payment.amount)")
        for name, each in inputs.items():
            if isinstance(cast(Any, each), Column) and not isinstance(cast(Any, each), MADE):
                raise GraphError(
                    f"{self} sends {name} as a tensor, and {name_of(each)} is {an(each.kind)}",
                    help="give a Number, Flag, Category, Text or Vector",
                )
        args = cast("dict[str, Any]", inputs)
        if candidates is None:
            return column(self.kind, self, **args)
        if self.kind is not Number:
            raise GraphError(
                f"{self} gives a {self.kind.__name__}, and candidates are ranked by a Number", "kind=mt.Number"
            )
        return ranked(candidates, column(Number, self, among=candidates, **args))

    def apply(self, state: State, batch: Batch) -> Any:
        ends = None if batch.seconds is None else time.monotonic() + batch.seconds
        if not batch.rows:
            return KINDS[self.kind](np.zeros((0, 0)) if self.kind is Vector else [])
        there = client(self.url, self.model, self.revision)
        parts: list[Any] = []
        for low in range(0, batch.rows, self.rows):
            some = np.arange(low, min(low + self.rows, batch.rows))
            until = time.monotonic() + self.seconds
            part = {name: take(value, some) for name, value in batch.columns.items()}
            parts.append(self._asked(there, part, len(some), until if ends is None else min(until, ends), batch))
        return concat(parts)

    def _asked(self, there: Client, columns: Mapping[str, Any], rows: int, until: float, batch: Batch) -> Any:
        card = there.card(until)
        inputs = {_wanted(self, card, name, value): value for name, value in columns.items()}
        output = self._output(card)
        missing = reduce(np.logical_or, (_missing(value, tensor, card) for tensor, value in inputs.items()))
        there_rows = np.flatnonzero(~missing)
        for _ in range(rows - len(there_rows)):
            batch.note(f"an input of {self.model} is missing, and cannot be sent as such")
        if not len(there_rows):
            return _placed(self, _none(self, card), there_rows, rows)
        sent = {tensor: _sent(take(value, there_rows), tensor) for tensor, value in inputs.items()}
        return _placed(self, self._one(there.infer(sent, output, until), output), there_rows, rows)

    def _output(self, card: Card) -> str:
        names = [tensor.name for tensor in card.outputs]
        if self.output and names and self.output not in names:
            raise GraphError(f"{self} has no output {self.output!r}", help=listed(names, self.output))
        if not self.output and len(names) > 1:
            raise GraphError(f"{self} has several outputs: {', '.join(names)}", help=f'output="{names[0]}"')
        told = next((tensor for tensor in card.outputs if not self.output or tensor.name == self.output), None)
        if told is not None and (told.datatype == "BYTES") != (self.kind in (Text, Category)):
            raise GraphError(f"{self} makes a {self.kind.__name__}, and the model gives {told}", help=_kind_for(told))
        if told is not None and self.kind is not Vector and len(told.shape) > 1 and told.shape[-1] > 1:
            raise GraphError(f"{self} makes a {self.kind.__name__}, and the model gives {told}", help=_kind_for(told))
        return self.output

    def _one(self, outputs: Mapping[str, Array], name: str) -> Array:
        found = outputs.get(name) if name else next(iter(outputs.values()), None)
        if found is None or (not name and len(outputs) > 1):
            help = listed(outputs, name) if name else f'output="{next(iter(outputs), "name")}"'
            raise RunError(f"{self} answered with the outputs {', '.join(outputs) or 'nothing'}", help=help)
        return found

    def block(self) -> int:
        return self.rows

    def identity(self) -> str:
        # Where it is served and how long it may take change no value.
        return f"motet.endpoint/{self.version} {self.model} {self.revision} {self.kind.__name__} {self.output}"

    def __str__(self) -> str:
        return f"Endpoint({self.model!r})"


def _kind_for(tensor: Tensor) -> str:
    if tensor.datatype == "BYTES":
        return "kind=mt.Category, or mt.Text"
    return "kind=mt.Vector" if len(tensor.shape) > 1 and tensor.shape[-1] != 1 else "kind=mt.Number"


def _wanted(model: Endpoint, card: Card, name: str, value: Any) -> Tensor:
    """The input of that name. Errors: the model has none, or one that the column does not fit."""
    known = {tensor.name: tensor for tensor in card.inputs}
    if not known:
        return Tensor(name, *USUAL[_kind_of(value)])
    if name not in known:
        raise GraphError(f"{model} has no input {name!r}", help=listed(known, name))
    tensor, kind = known[name], _kind_of(value)
    if (tensor.datatype == "BYTES") != (kind is Text) or tensor.datatype not in (*NUMBERS, "BYTES"):
        held = "texts" if kind is Text else "numbers"
        raise GraphError(f"{model} reads {tensor}, and is given {held}", help=f"give {name}= a column of that type")
    width = np.shape(value)[1] if kind is Vector else 1
    if len(tensor.shape) not in RANKS or (len(tensor.shape) == 2 and tensor.shape[1] not in (-1, width)):
        raise GraphError(f"{model} reads {tensor}, and is given {width} a row", help=_width_for(tensor))
    if len(tensor.shape) == 1 and kind is Vector:
        raise GraphError(f"{model} reads {tensor}, and is given {width} a row", help=f"give {name}= a Number")
    return tensor


def _width_for(tensor: Tensor) -> str:
    if len(tensor.shape) == 2:
        return f"give {tensor.name}= a Vector of {tensor.shape[1]} numbers"
    return "a column has one number or one row of numbers for each row: give a model of such inputs"


def _kind_of(value: Any) -> type[Column]:
    """What a value is sent as: a text, a row of numbers, or a number."""
    if isinstance(value, (Codes, pa.Array)):
        return Text
    return Vector if np.ndim(value) == 2 else Number


def _missing(value: Any, tensor: Tensor, card: Card) -> Array:
    """Rows whose value the input cannot hold. A missing text is an empty one."""
    if tensor.datatype == "BYTES" or np.ndim(value) == 2:
        return np.zeros(len(value), np.bool_)
    holds = tensor.datatype.startswith("FP") and card.binary
    return np.zeros(len(value), np.bool_) if holds else np.isnan(np.asarray(value))


def _sent(value: Any, tensor: Tensor) -> Array:
    """A column as the tensor that an input wants."""
    if isinstance(value, Codes):
        value = value.names.names.take(pa.array(value.codes, mask=value.codes < 0))
    if isinstance(value, pa.Array):
        made = np.empty(len(value), object)
        made[:] = [text or "" for text in value.to_pylist()]
    else:
        made = np.asarray(value).astype(NUMBERS[tensor.datatype])
    return made[:, None] if made.ndim == 1 and len(tensor.shape) == 2 else made


def _none(model: Endpoint, card: Card) -> Array:
    """What is answered where nothing is asked."""
    if model.kind is not Vector:
        return np.zeros(0, object if model.kind in (Text, Category) else float)
    told = next((tensor for tensor in card.outputs if not model.output or tensor.name == model.output), None)
    return np.zeros((0, max(told.shape[-1], 0) if told is not None and told.shape else 0))


def _placed(model: Endpoint, made: Array, rows: Array, n: int) -> Any:
    """What was answered, in the rows that were asked about; the others are missing."""
    if model.kind is not Vector and made.ndim == 2 and made.shape[1] == 1:
        made = made[:, 0]
    if len(made) != len(rows) or made.ndim != (2 if model.kind is Vector else 1):
        raise RunError(f"{model} answered {list(made.shape)} for {len(rows)} rows", help="one row out for each row in")
    try:
        value = KINDS[model.kind](made.tolist() if made.dtype == object else made)
    except ValueError as error:
        raise RunError(f"{model} makes a {model.kind.__name__}, and answered another: {error}", help="kind=") from None
    place = np.full(n, -1)
    place[rows] = np.arange(len(rows))
    return take(value, place)
