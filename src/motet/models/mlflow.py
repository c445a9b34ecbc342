"""A model that MLflow keeps, in whatever flavor it was logged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, cast

import numpy as np
import pyarrow as pa

from motet.batch import Batch, Codes
from motet.candidates import Candidates, ranked
from motet.clock import once
from motet.column import Category, Column, Flag, Number, Text, Vector, column
from motet.errors import GraphError, RunError, an, listed, needs
from motet.model import Model, State, digest
from motet.models.named import check_names
from motet.models.returned import KINDS
from motet.node import name_of

Input: TypeAlias = Number | Flag | Category | Text
MADE = (Number, Flag, Category, Text, Vector)


@dataclass(frozen=True)
class MLflow(Model):
    """A model out of MLflow, as a pyfunc: one row in, one row out. It is applied as it is and learns nothing.

    uri: a folder, "models:/fraud/3" or "runs:/.../model". A folder's model is known by what its MLmodel file says; one
        behind an address by the address and `revision`: give a version, not a stage or an alias that moves.
    kind: what it gives: mt.Number, mt.Flag, mt.Category, mt.Text or mt.Vector. output: which column, where it answers
        with several.
    Call: MLflow("models:/fraud/3")(amount=Payment.amount, country=Payment.country), by the names of its columns;
        MLflow(uri)(found, year=Film.year) ranks candidates. It is given a pandas frame: a Number as float64, missing as
        NaN, a Flag as such too, a Text or Category as str, missing as None.
    Errors: names that its signature does not have or that are not given; RunError where it cannot be loaded or fails.
    Only load models that you trust: most flavors are pickles.
    """

    uri: str | Path
    kind: type[Column] = Number
    output: str = ""
    revision: str = ""

    costly: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not str(self.uri):
            raise GraphError("an MLflow model has an address", help='mt.MLflow("models:/fraud/3")')
        if self.kind not in MADE:
            known = listed(each.__name__ for each in MADE)
            raise GraphError(f"no MLflow model makes a {getattr(self.kind, '__name__', self.kind)}", help=known)

    def __call__(self, candidates: Candidates | None = None, /, **inputs: Input) -> Any:
        if not inputs:
            raise GraphError(f"{self} is given no column", help=f"{self}(amount=Payment.amount)")
        for name, each in inputs.items():
            if isinstance(cast(Any, each), Column) and not isinstance(cast(Any, each), Input):
                raise GraphError(
                    f"{self} reads columns of a frame, and {name_of(each)} is {an(each.kind)}",
                    help=f"give {name}= a Number, Flag, Category or Text",
                )
        schema = self._loaded().metadata.get_input_schema()
        wanted = [] if schema is None else list(schema.input_names() or [])
        if wanted:  # it was logged with a signature
            check_names(self, "column", inputs, wanted, wanted)
        args = cast("dict[str, Any]", inputs)
        if candidates is None:
            return column(self.kind, self, **args)
        if self.kind is not Number:
            raise GraphError(f"{self} ranks candidates by a {self.kind.__name__}", help="kind=mt.Number")
        return ranked(candidates, column(Number, self, among=candidates, **args))

    def apply(self, state: State, batch: Batch) -> Any:
        pandas = _library("pandas")
        frame = pandas.DataFrame({name: _held(value) for name, value in batch.columns.items()})
        if not batch.rows:
            return KINDS[self.kind](np.zeros((0, 0)) if self.kind is Vector else [])
        try:
            made = self._loaded().predict(frame)
        except Exception as error:
            said = str(error).strip().partition("\n")[0]
            raise RunError(f"{self} failed: {type(error).__name__}: {said}", help="look at its signature") from error
        return self._read(made, batch.rows)

    def _read(self, made: Any, rows: int) -> Any:
        if hasattr(made, "columns"):
            names = [str(name) for name in made.columns]
            if self.kind is not Vector and (self.output not in names if self.output else len(names) > 1):
                raise RunError(f"{self} answers with the columns {', '.join(names)}", help=f'output="{names[0]}"')
            if self.kind is not Vector:
                made = made[made.columns[names.index(self.output) if self.output else 0]]
        values = np.asarray(made)
        values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 and self.kind is not Vector else values
        if len(values) != rows:
            raise RunError(f"{self} gave {len(values)} values for {rows} rows", help="one row out for each row in")
        try:
            return KINDS[self.kind](values.tolist() if values.dtype == object else values)
        except (TypeError, ValueError, pa.ArrowException) as error:
            raise RunError(f"{self} makes a {self.kind.__name__}, and gave none: {error}", help="kind=") from error

    def identity(self) -> str:
        described = Path(self.uri) / "MLmodel"
        there = digest(described.read_bytes()) if described.is_file() else str(self.uri)
        return f"motet.mlflow/{self.version} {there} {self.revision} {self.kind.__name__} {self.output}"

    def _loaded(self) -> Any:
        return _pyfunc(str(self.uri), os.getpid())

    def __str__(self) -> str:
        return f"MLflow({str(self.uri)!r})"


@lru_cache(maxsize=8)
@once()
def _pyfunc(uri: str, process: int) -> Any:
    # `process`: a forked child loads its own.
    pyfunc = _library("mlflow.pyfunc")
    try:
        return pyfunc.load_model(uri)
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        help = 'give the folder that holds its MLmodel file, or "models:/name/version" with MLFLOW_TRACKING_URI set'
        raise RunError(f"MLflow cannot load {uri!r}: {said}", help=help) from error


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise needs("mlflow", name.partition(".")[0]) from None


def _held(value: Any) -> Any:
    """A column as a frame holds it."""
    if isinstance(value, Codes):
        value = value.names.names.take(pa.array(value.codes, mask=value.codes < 0))
    return np.array(value.to_pylist(), object) if isinstance(value, pa.Array) else np.asarray(value)
