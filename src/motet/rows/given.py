"""One field's values on their way to a column, and what is common to reading them.

A wrong value is noted and read as a missing one, so that the rest is judged in the same pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import Array, Value
from motet.errors import counted
from motet.rows.problems import Problem, few, shown

Read: TypeAlias = tuple[Value, Array]
"""A column, and which of its rows are missing: bool [n]."""


@dataclass(frozen=True)
class Given:
    """One field's values as a source gives them; `problems` gathers what is wrong with them.

    labels: the closed set, where there is one. untyped: texts may stand for numbers in a Key. asked: they come from
    whoever asks or tells what happened, who must not name files of this machine.
    """

    name: str
    values: pa.Array
    problems: list[Problem]
    labels: tuple[str, ...] = ()
    untyped: bool = False
    asked: bool = False

    @property
    def alone(self) -> bool:
        """Whether this is one ask or event, which whoever sent it does not know as a row of a table."""
        return self.asked and len(self.values) == 1

    def note(self, wrong: Array, what: str, help: str) -> None:
        """Says which rows are wrong and what they hold."""
        rows = np.flatnonzero(wrong)
        if len(rows):
            quoted = few((f"row {row}: {self.shown(int(row))}" for row in rows), len(rows))
            where = f": {self.shown(0)}" if self.alone else f" in {counted(len(rows), 'row')}: {quoted}"
            self.problems.append(Problem(f"{self.name}: {what}{where}", help))

    def refuse(self, wanted: str, help: str, send: str = "") -> None:
        """Says that the column is of a type that cannot be read at all. send: the help of who declares no field, where
        that is another one."""
        row = int(np.argmin(missing(self.values)))
        found = self.shown(row) if self.alone else f"{self.values.type}: row {row}: {self.shown(row)}"
        text = f"{self.name} needs {wanted} and is {found}"
        self.problems.append(Problem(text, send if send and self.asked else help))

    def shown(self, row: int) -> str:
        """A row's value as a message quotes it."""
        try:
            return shown(self.values[row].as_py())
        except (ValueError, OverflowError):  # no Python datetime can hold it
            return str(self.values.slice(row, 1).cast(pa.string())[0])

    def converted(self, texts: pa.Array, kind: pa.DataType, what: str, help: str) -> pa.Array:
        """The texts as another type; those that cannot be are noted and null."""
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid:
            distinct = pc.unique(texts)
            good = distinct.filter(pa.array([_fits(text, kind) for text in distinct]))
        fits = pc.is_in(texts, value_set=good, skip_nulls=True)
        self.note(~numpy(fits) & ~missing(texts), what, help)
        return pc.if_else(fits, texts, None).cast(kind)


def _fits(text: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def texts_of(values: pa.Array) -> pa.Array:
    """As large_string; whole floats without their `.0`, since pandas makes floats of integers with gaps."""
    if pa.types.is_floating(values.type) and all_whole(values):
        values = values.cast(pa.int64())
    return values if pa.types.is_large_string(values.type) else values.cast(pa.large_string())


def floats_of(values: pa.Array) -> Array:
    """As float64 with NaN for null."""
    return numpy(values.cast(pa.float64(), safe=False))


def all_whole(values: pa.Array) -> bool:
    floats = numpy(values.drop_null())
    return bool((np.mod(floats, 1) == 0).all() and (np.abs(floats) < 2**53).all())


def all_match(texts: pa.Array, pattern: str) -> bool:
    """Whether every text that is there matches."""
    return bool(pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py())


def missing(values: pa.Array) -> Array:
    if values.null_count == 0:
        return np.zeros(len(values), np.bool_)
    return numpy(values.is_null())


def blank(values: pa.Array) -> Array:
    """Rows that hold nothing, in whichever way the source says so: null, NaN or an empty text."""
    if is_text(values.type):
        return missing(values) | numpy(pc.equal(pc.utf8_trim_whitespace(values), "").fill_null(True))
    return np.isnan(floats_of(values)) if pa.types.is_floating(values.type) else missing(values)


def numpy(values: pa.Array) -> Array:
    return cast(Array, values.to_numpy(zero_copy_only=False))


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_string_view(kind)


def is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
