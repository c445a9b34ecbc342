"""Columns of any kind as what a net reads: codes of one table of embeddings, and numbers, as laid out at the fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa

from motet.batch import Array, Codes, Ragged, Vocabulary, offsets_of
from motet.model import State
from motet.models.behavior.features import columns_of, frequent
from motet.windows import Windows

FEW = 64  # rows whose names are looked up one by one: to translate a whole vocabulary would take longer
FLAT = 1e-12  # a number that varies less is a constant

Part: TypeAlias = dict[str, Any]
"""One feature's place. kind: category, bag (of names), number or vector. names: those with an embedding, most
frequent first. mean, scale, low, high: of the training rows, a number per dimension. blank: of a number that none of
them has; it is missing ever after, since nothing was learnt of it."""


@dataclass(frozen=True)
class Encoded:
    """Rows as a net reads them.

    codes: int64 [n, categories], rows of the table. bags: the same for features of several names a row, none empty.
    numbers: float32 [n, width], standardised.
    """

    codes: Array
    bags: tuple[Windows, ...]
    numbers: Array

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Array) -> Encoded:
        return Encoded(self.codes[rows], tuple(bag.take(rows) for bag in self.bags), self.numbers[rows])


def layout(values: dict[str, Any], most: int) -> list[Part]:
    """Where each feature goes, learnt from the training rows. most: names of one feature that get an embedding."""
    return [_part(value, most) for value in values.values()]


def _part(value: Any, most: int) -> Part:
    if isinstance(value, Codes):
        return {"kind": "category", "names": frequent(value.codes, value.names, most)}
    if isinstance(value, Ragged):
        assert value.names is not None
        return {"kind": "bag", "names": frequent(value.windows.flat()[0], value.names, most)}
    known = columns_of(value).astype(np.float64)
    some = ~np.isnan(known)
    n = np.maximum(some.sum(axis=0), 1)
    mean = np.nansum(known, axis=0) / n
    apart = np.where(some, known - mean, 0)
    scale = np.sqrt((apart**2).sum(axis=0) / n)
    scale[scale <= FLAT * np.maximum(1, np.abs(mean))] = 1
    low, high = (apart / scale).min(axis=0, initial=0), (apart / scale).max(axis=0, initial=0)
    kept = {"mean": mean, "scale": scale, "low": low, "high": high}
    made = {name: each.tolist() for name, each in kept.items()}
    if np.ndim(value) == 2:
        return {"kind": "vector", **made}
    return {"kind": "number", **made} | ({} if some.any() else {"blank": True})


def starts(parts: list[Part]) -> Array:
    """Where each feature of names begins in the table, and its end. Its first row is what is missing."""
    return offsets_of(np.array([len(part["names"]) + 1 for part in parts if "names" in part], np.int64))


def width(parts: list[Part]) -> int:
    """How many numbers a row has: a number says too whether it is there."""
    return sum(len(part["mean"]) + (part["kind"] == "number") for part in parts if "mean" in part)


def encoded(state: State, values: dict[str, Any]) -> Encoded:
    """The features in the state's layout. A name that was not there at the fit counts as missing, and a number
    beyond those of the training rows as the nearest of them."""
    parts, known = state["layout"], state.opened(_vocabularies)
    rows = len(next(iter(values.values())))
    codes, bags, numbers = [np.zeros((rows, 0), np.int64)], list[Windows](), [np.zeros((rows, 0), np.float32)]
    begin = iter(starts(parts)[:-1].tolist())
    for part, names, value in zip(parts, known, values.values(), strict=True):
        if part["kind"] == "category":
            found = cast(Codes, value)
            codes.append((next(begin) + 1 + _places(found.codes, found.names, names))[:, None].astype(np.int64))
        elif part["kind"] == "bag":
            bags.append(_bag(cast(Ragged, value), names, next(begin)))
        else:
            numbers.append(_standard(part, np.asarray(value)))
    return Encoded(np.concatenate(codes, axis=1), tuple(bags), np.concatenate(numbers, axis=1))


def _vocabularies(state: State) -> list[Vocabulary]:
    return [Vocabulary(pa.array(part.get("names", []), pa.large_string())) for part in state["layout"]]


def _places(codes: Array, names: Vocabulary, known: Vocabulary) -> Array:
    """Where each code's name is among the known ones, -1 where it is not."""
    there = np.where((codes >= 0) & (codes < len(names)), codes, -1)
    if len(codes) > FEW:
        return Codes(there, Vocabulary(names.names.cast(pa.large_string()))).coded_by(known)
    asked = names.names.take(pa.array(there, mask=there < 0)).cast(pa.large_string())
    return np.array([known.code(name) for name in asked.to_pylist()], np.int32)


def _bag(value: Ragged, known: Vocabulary, begin: int) -> Windows:
    flat, offsets = value.windows.flat()
    places = _places(flat, cast(Vocabulary, value.names), known)
    whose = np.repeat(np.arange(len(value)), np.diff(offsets))[places >= 0]
    sizes = np.bincount(whose, minlength=len(value))
    ends = offsets_of(np.maximum(sizes, 1))
    filled = np.full(int(ends[-1]), begin, np.int64)
    filled[np.repeat(sizes > 0, np.maximum(sizes, 1))] = begin + 1 + places[places >= 0]
    return Windows.of(filled, ends)


def _standard(part: Part, value: Array) -> Array:
    columns = columns_of(value)
    there = ~np.isnan(columns) & (not part.get("blank"))
    apart = np.where(there, columns, part["mean"]) - np.array(part["mean"])
    made = np.clip(apart / np.array(part["scale"]), part["low"], part["high"]).astype(np.float32)
    return made if part["kind"] == "vector" else np.hstack([made, there.astype(np.float32)])
