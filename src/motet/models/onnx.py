"""Any ONNX file as a model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import pyarrow as pa

from motet import sessions, weights
from motet.batch import Array, Batch
from motet.candidates import Candidates, ranked
from motet.clock import once
from motet.column import Flag, Number, Text, Vector, column
from motet.errors import GraphError, listed
from motet.model import Model, State

Input = Number | Flag | Text | Vector

# What ONNX calls the types that a column can be given as.
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


@dataclass(frozen=True)
class ONNX(Model):
    """A model in an ONNX file: one row in, one row out. It is applied as it is and learns nothing.

    file: its path; a changed file is a new model. output: which of its outputs, where it has several.
    vector: whether its output is a Vector, of as many numbers a row as it gives, and no Number.
    Call: ONNX("fraud.onnx")(amount=Payment.amount, age=Payment.card.age) gives a Number, by the names of the
        file's inputs. ONNX("ranker.onnx")(found, year=Film.year, score=found.score) ranks candidates.
        A Number or Flag is an input of shape [n] or [n, 1], a Vector one of [n, d], a Text one of strings.
    Errors: no such file, an input that is not given or not there, a type that no column has.
    """

    file: str | Path
    output: str = ""
    vector: bool = False

    def __post_init__(self) -> None:
        if not Path(self.file).is_file():
            raise GraphError(f"there is no file {self.file}", help='ONNX("models/ranker.onnx")')
        outputs = [each.name for each in self._session.get_outputs()]
        if self.output and self.output not in outputs:
            raise GraphError(f"{self.file} has no output {self.output!r}", help=listed(outputs, self.output))
        if not self.output and len(outputs) > 1:
            raise GraphError(f"{self.file} has several outputs", help=f'ONNX(file, output="{outputs[0]}")')
        other = {each.name: each.type for each in self._session.get_inputs() if each.type not in TYPES}
        if other:
            raise GraphError(f"{self.file} reads types that no column has: {other}", help=listed(TYPES))

    @overload
    def __call__(self, candidates: Candidates, /, **inputs: Input) -> Candidates: ...
    @overload
    def __call__(self, /, **inputs: Input) -> Number: ...
    def __call__(self, candidates: Candidates | None = None, /, **inputs: Input) -> Candidates | Number:
        wanted = [each.name for each in self._session.get_inputs()]
        for name in (*(n for n in wanted if n not in inputs), *(n for n in inputs if n not in wanted)):
            problem = "is given an input that it does not have" if name in inputs else "is not given its input"
            raise GraphError(f"{self} {problem}: {name!r}", help=listed(wanted, name))
        args = cast("dict[str, Any]", inputs)
        if self.vector:
            return cast(Number, column(Vector, self, among=candidates, **args))
        score = column(Number, self, among=candidates, **args)
        return score if candidates is None else ranked(candidates, score)

    def apply(self, state: State, batch: Batch) -> Array:
        feed = {each.name: _fed(batch[each.name], each) for each in self._session.get_inputs()}
        made = np.asarray(self._session.run([self.output] if self.output else None, feed)[0])
        return made.reshape(batch.rows, -1).astype(np.float32) if self.vector else made.reshape(batch.rows)

    def identity(self) -> str:
        return f"{type(self).__name__}/{self.version} {self._digest} {self.output} {self.vector}"

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(Path(self.file).read_bytes()).hexdigest()

    @cached_property
    @once()
    def _session(self) -> Any:
        """One thread: several batches run side by side."""
        return sessions.opened(str(sessions.mapped(Path(self.file), self._digest, weights.home() / "built")))

    def __str__(self) -> str:
        return f"ONNX({Path(self.file).name!r})"


def _fed(value: Any, wanted: Any) -> Array:
    """A column as the tensor that an input wants."""
    if isinstance(value, pa.Array):
        value = value.to_numpy(zero_copy_only=False)
    made = np.asarray(value).astype(TYPES[wanted.type], copy=False)
    return made[:, None] if made.ndim == 1 and len(wanted.shape) == 2 else made
