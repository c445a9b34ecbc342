"""Any ONNX file as a model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import pyarrow as pa

from motet import sessions, weights
from motet.batch import Array, Batch, Codes, take
from motet.candidates import Candidates, ranked
from motet.clock import library, once
from motet.column import Category, Column, Flag, Number, Text, Vector, argument, column
from motet.errors import GraphError, RunError, an, listed
from motet.model import Model, State
from motet.models.named import check_names
from motet.node import name_of

Input = Number | Flag | Text | Category | Vector

# What ONNX calls the types that a column can be given as.
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
NUMBERS, TEXTS = (Number, Flag, Vector), (Text, Category)
TRIED = 4  # rows that are made up to see that none changes another
ALIKE = 0.05  # what a row may differ by among others: eight bits are scaled to the largest number of a whole batch
SILENT = 4  # only what ends the process is logged


@dataclass(frozen=True)
class ONNX(Model):
    """A model in an ONNX file: one row in, one row out. It is applied as it is and learns nothing.

    file: its path; a changed file is a new model. output: which of its outputs, where it has several.
    vector: whether its output is a Vector, of as many numbers a row as it gives, and no Number.
    Call: ONNX("fraud.onnx")(amount=Payment.amount, age=Payment.card.age) gives a Number, by the names of the
        file's inputs. ONNX("ranker.onnx")(found, year=Film.year, score=found.score) ranks candidates.
        A Number or Flag is an input of shape [n] or [n, 1], a Vector one of [n, d], a Text or Category one of strings,
        a missing one the empty string. A row with a number that its input cannot hold (a missing one as an integer or
        bool, a fraction or an infinite one as an integer, another than 0 and 1 as a bool, one too large for its type)
        is not computed: it is missing, and a Vector's is zeros. So is one of which it gives what is not finite.
    Errors: a file that is not there or no model, one that reads or gives what no column is or gives a row something
        else among others, an input that is not given, is not there or is of another type or shape; RunError where a
        Vector is of another width, or the file fails.
    """

    file: str | Path
    output: str = ""
    vector: bool = False

    def __post_init__(self) -> None:
        if not Path(self.file).is_file():
            raise GraphError(f"there is no file {self.file}", help='ONNX("models/ranker.onnx")')
        for each in self._session.get_inputs():
            self._check_input(each)
        made = self._made
        if not self.vector and any(isinstance(size, int) and size > 1 for size in made.shape[1:]):
            raise GraphError(
                f"{self.file} gives {made.name} of shape {sessions.shape(made)}, and no Number a row",
                help=f"ONNX({str(self.file)!r}, vector=True)",
            )
        self._check_rows()

    def _check_rows(self) -> None:
        """Errors: of made-up rows it does not give one each, or gives one of them something else alone."""
        made_up = _made_up(self._session.get_inputs())
        try:
            whole = self._tried(made_up)
            alone = [self._tried({name: value[i : i + 1] for name, value in made_up.items()}) for i in range(TRIED)]
        except Exception:  # what is made up need not be what it can read, and the runtime's errors have no base
            return
        if whole.shape[:1] != (TRIED,) and whole.size != TRIED:
            raise GraphError(
                f"{self.file} gives {self._made.name} of shape {list(whole.shape)} for {TRIED} rows",
                help="one row out for each row in",
            )
        flat, apart = whole.ravel(), np.concatenate([one.ravel() for one in alone])
        most = ALIKE * np.abs(flat).max(initial=1)
        if len(apart) == len(flat) and np.abs(apart - flat).max(initial=0) > most:
            raise GraphError(
                f"{self.file} gives a row something else alone than among others",
                help="make each row's output depend on that row only: normalise over features, not over the batch",
            )

    def _tried(self, feed: Mapping[str, Array]) -> Array:
        """What the file makes of them, what is not finite as zero; it says nothing where it fails."""
        quiet = library("onnxruntime").RunOptions()
        quiet.log_severity_level = SILENT
        made = np.asarray(self._session.run([self._made.name], dict(feed), quiet)[0])
        return np.nan_to_num(made.astype(np.float64), posinf=0, neginf=0)

    def _check_input(self, wanted: Any) -> None:
        """Errors: no column can ever be given to it."""
        what = f"{self.file} reads {wanted.name} as {wanted.type} of shape {sessions.shape(wanted)}"
        if wanted.type not in TYPES:
            raise GraphError(f"{what}, a type that no column has", help=listed(TYPES))
        if not _kinds(wanted):
            help = "one text an input, or numbers as [n, d]; a picture is read by mt.EmbedImage(file)(Film.poster)"
            raise GraphError(f"{what}, a shape that no column has", help)
        if wanted.shape and isinstance(wanted.shape[0], int):
            rows = "a row" if wanted.shape[0] == 1 else f"{wanted.shape[0]} rows"
            help = f'torch.onnx.export(..., dynamic_axes={{"{wanted.name}": {{0: "n"}}}})'
            raise GraphError(f"{what}: {rows} at a time, and a column has any number", help)

    @overload
    def __call__(self, candidates: Candidates, /, **inputs: Input) -> Candidates: ...
    @overload
    def __call__(self, /, **inputs: Input) -> Number: ...
    def __call__(self, candidates: Candidates | None = None, /, **inputs: Input) -> Candidates | Number:
        wanted = {each.name: each for each in self._session.get_inputs()}
        check_names(self, "input", inputs, list(wanted), list(wanted))
        args: dict[str, Any] = {name: argument(self, each) for name, each in inputs.items()}
        for name, each in args.items():
            self._check_given(wanted[name], each)
        if self.vector:
            return cast(Number, column(Vector, self, among=candidates, **args))
        score = column(Number, self, among=candidates, **args)
        return score if candidates is None else ranked(candidates, score)

    def _check_given(self, wanted: Any, given: Column) -> None:
        """Errors: a column of another type than the input, or of more or fewer values a row."""
        kinds = _kinds(wanted)
        if not isinstance(given, kinds):
            wide = f" of {wanted.shape[1]} numbers" if kinds == (Vector,) else ""
            raise GraphError(
                f"{self} reads {wanted.name} as {wanted.type} of shape {sessions.shape(wanted)}, and"
                f" {name_of(given)} is {an(given.kind)}",
                help=f"give {wanted.name}= a {' or '.join(kind.__name__ for kind in kinds)}{wide}",
            )

    def apply(self, state: State, batch: Batch) -> Array:
        given = {each.name: batch[each.name] for each in self._session.get_inputs()}
        held = (_held(given[each.name], each) for each in self._session.get_inputs())
        rows = np.flatnonzero(reduce(np.logical_and, held, np.ones(batch.rows, np.bool_)))
        if len(rows) == batch.rows:
            return self._finite(self._computed(given, batch.rows), batch)
        for _ in range(batch.rows - len(rows)):
            batch.note(f"{self} cannot hold a number that it is given")
        place = np.full(batch.rows, -1)
        place[rows] = np.arange(len(rows))
        return take(self._finite(self._computed(take(given, rows), len(rows)), batch), place)

    def _finite(self, made: Array, batch: Batch) -> Array:
        """The same with those rows missing of which it gives infinities, or in a Vector what is no number."""
        wrong = np.asarray(~np.isfinite(made).all(axis=1)) if self.vector else np.isinf(made)
        if not wrong.any():
            return made
        for _ in range(int(wrong.sum())):
            batch.note(f"{self} gives a number that is not finite")
        return take(made, np.where(wrong, -1, np.arange(len(made))))

    def _computed(self, given: Mapping[str, Any], rows: int) -> Array:
        """What the file makes of these rows. Errors: not one of each."""
        if not rows:
            return np.zeros((0, _width(self._made)), np.float32) if self.vector else np.zeros(0)
        feed = {each.name: self._fed(given[each.name], each) for each in self._session.get_inputs()}
        made = sessions.run(self._session, self._made.name, feed, self)
        if self.vector and made.shape[:1] == (rows,):
            return made.reshape(rows, math.prod(made.shape[1:])).astype(np.float32)
        if not self.vector and made.size == rows:
            return made.reshape(rows).astype(np.float64)
        wide = made.shape[:1] == (rows,)
        raise RunError(
            f"{self} gives {self._made.name} of shape {list(made.shape)} for {rows} rows",
            help=f"ONNX({str(self.file)!r}, vector=True)" if wide else "one row out for each row in",
        )

    def _fed(self, value: Any, wanted: Any) -> Array:
        """A column as the tensor that an input wants. Errors: a Vector of another width."""
        if isinstance(value, Codes):
            value = value.names.names.take(pa.array(value.codes, mask=value.codes < 0))
        if isinstance(value, pa.Array):
            value = value.fill_null("").to_numpy(zero_copy_only=False)
        made = np.asarray(value).astype(TYPES[wanted.type], copy=False)
        if made.ndim == 1 and len(wanted.shape) == 2:
            return made[:, None]
        if made.ndim == 2 and isinstance(wanted.shape[1], int) and made.shape[1] != wanted.shape[1]:
            raise RunError(
                f"{self} reads {wanted.name} of shape {sessions.shape(wanted)}, and is given {made.shape[1]} numbers a"
                " row",
                help=f"give a Vector of {wanted.shape[1]} numbers",
            )
        return made

    def identity(self) -> str:
        return f"{type(self).__name__}/{self.version} {self._digest} {self.output} {self.vector}"

    @property
    def _made(self) -> Any:
        return sessions.output_of(self._session, self.file, self.output)

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(Path(self.file).read_bytes()).hexdigest()

    @cached_property
    @once()
    def _session(self) -> Any:
        """One thread: several batches run side by side."""
        return sessions.of_file(Path(self.file), self._digest, weights.home() / "built")

    def __str__(self) -> str:
        return f"ONNX({Path(self.file).name!r})"


def _kinds(wanted: Any) -> tuple[type[Column], ...]:
    """The columns that an input can be given: of strings one a row, of numbers one or as many as it is wide."""
    kinds, shape = TEXTS if wanted.type == "tensor(string)" else NUMBERS, wanted.shape
    if len(shape) > 2:
        return ()
    if len(shape) == 2 and isinstance(shape[1], int) and shape[1] > 1:
        return tuple(kind for kind in kinds if kind is Vector)
    return tuple(kind for kind in kinds if kind is not Vector or len(shape) != 1)


def _held(value: Any, wanted: Any) -> Array:
    """Rows whose every number the input can hold. A missing text is an empty one, and a float may be no number."""
    kind: Any = np.dtype(TYPES[wanted.type])
    if kind.kind == "O":
        return np.ones(len(value), np.bool_)
    numbers: Array = np.asarray(value)
    if kind.kind == "f":
        holds = ~np.isfinite(numbers) | (np.abs(numbers) <= np.finfo(kind).max)
    elif kind.kind == "b":
        holds = (numbers == 0) | (numbers == 1)
    else:
        low, high = float(np.iinfo(kind).min), float(np.iinfo(kind).max)  # a float has no 2**63 - 1: it is 2**63
        holds = (numbers >= low) & (numbers < high + 1) & (numbers == np.floor(numbers))
    return cast(Array, holds.all(axis=1)) if holds.ndim == 2 else holds


def _made_up(inputs: Sequence[Any]) -> dict[str, Array]:
    """Some rows for all inputs; as integers and texts 0 and 1, which most tables of a file have."""
    rng, made = np.random.default_rng(0), dict[str, Array]()
    for wanted in inputs:
        kind: Any = np.dtype(TYPES[wanted.type])
        shape = (TRIED, *(size if isinstance(size, int) else 1 for size in wanted.shape[1:]))
        drawn = rng.normal(size=shape) if kind.kind == "f" else rng.integers(0, 2, shape)
        made[wanted.name] = drawn.astype(str).astype(kind) if kind.kind == "O" else drawn.astype(kind)
    return made


def _width(made: Any) -> int:
    """Of a vector, as far as the file says it."""
    return math.prod(size if isinstance(size, int) else 0 for size in made.shape[1:])
