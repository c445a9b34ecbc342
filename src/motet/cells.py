"""Cells: the values of one costly column, kept row by row under the hash of what each was made from.

A folder of chunks that are only ever added. Small chunks are merged into larger ones as they gather, so a row is
rewritten a few times in all, however many there are.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet import sealed
from motet.arrow import from_arrow, to_arrow
from motet.batch import Array, Value, concat, take
from motet.errors import MotetError, RunError
from motet.hashing import row_hashes

__all__ = ["Cells", "row_hashes"]

FEW = 16
"""Chunks of about the same number of rows that are let be before they are merged."""

LARGE = 256 << 20
"""Bytes that are merged into one chunk at most."""

_EMPTY = np.zeros(0, "S16")


@dataclass(frozen=True)
class Chunk:
    """One commit: row i is hashes[i], value[i] and, where the value is null for a reason, problems[i]."""

    hashes: Array
    value: Any
    problems: pa.Array

    @staticmethod
    def opened(path: Path) -> Chunk:
        batch = cast(Any, sealed.read(path))
        hashes = np.frombuffer(batch.column("#hash").buffers()[1], "S16")
        return Chunk(hashes, from_arrow(batch.drop_columns(["#hash", "#problem"])), batch.column("#problem"))

    def write(self, folder: Path, moment: int) -> None:
        batch = cast(Any, to_arrow(self.value))
        raw = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(self.hashes), [None, pa.py_buffer(self.hashes.tobytes())]
        )
        batch = batch.append_column("#hash", raw).append_column("#problem", self.problems)
        name = f"{moment:020d}-{len(self.hashes)}-{secrets.token_hex(4)}{sealed.SUFFIX}"
        sealed.write(folder / name, batch)


class Cells:
    """What is known of one column, in a folder that many processes may read and add to at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._chunks: dict[Path, Chunk] = {}
        self._keys, self._rows, self._value = _EMPTY, np.zeros(0, np.int64), cast(Any, None)

    def known(self, hashes: Array) -> Array:
        """Whether each row has been computed before: bool [n]. A null with a problem is known too."""
        self._refresh()
        return self._find(hashes) >= 0

    def add(self, hashes: Array, value: Value, problems: Sequence[str | None] | None = None) -> None:
        """Keeps these rows, durably, in one commit: all of them or none. Rows that are known stay as they are."""
        said = pa.nulls(len(hashes), pa.string()) if problems is None else pa.array(problems, pa.string())
        if len(hashes):
            Chunk(np.ascontiguousarray(hashes).view("S16"), value, said).write(self.folder, time.time_ns())
            self._merge()

    def read(self, hashes: Array) -> Value:
        """The value of each of these rows, in their order. RunError if one of them is not known."""
        self._refresh()
        rows = self._find(hashes)
        unknown = int((rows < 0).sum())
        if unknown or self._value is None:
            raise RunError(f"{unknown} of {len(rows)} rows are not known to the cells in {self.folder}")
        return take(self._value, rows)

    def problems(self, hashes: Array) -> dict[str, int]:
        """Why values are null, among these rows: how many of each reason, the most frequent first."""
        self._refresh()
        rows = self._find(hashes)
        if not self._chunks or not len(rows):
            return {}
        said = pa.concat_arrays([chunk.problems for chunk in self._chunks.values()])
        found = said.take(pa.array(rows, mask=rows < 0)).drop_null()
        counts = {
            str(count["values"]): int(count["counts"])
            for count in cast(Any, pc).value_counts(found).to_pylist()
        }
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def _find(self, hashes: Array) -> Array:
        """Where each row is among the rows of all chunks, -1 where it is nowhere."""
        if not len(self._keys):
            return np.full(len(hashes), -1)
        asked = np.ascontiguousarray(hashes).view("S16")
        place = np.minimum(np.searchsorted(self._keys, asked), len(self._keys) - 1)
        return np.where(self._keys[place] == asked, self._rows[place], -1)

    def _refresh(self) -> None:
        """Takes up what this process or another has added or merged since."""
        while (paths := _listed(self.folder)) != list(self._chunks):
            try:
                self._chunks = {path: self._chunks.get(path) or Chunk.opened(path) for path in paths}
            except FileNotFoundError:
                continue  # merged into another chunk between listing and opening
            chunks = list(self._chunks.values())
            keys = np.concatenate([_EMPTY, *(chunk.hashes for chunk in chunks)])
            self._rows = np.argsort(keys, kind="stable")
            self._keys = keys[self._rows]
            self._value = concat([chunk.value for chunk in chunks]) if chunks else None

    def _merge(self) -> None:
        for paths in _mergeable(_listed(self.folder)):
            lock = filelock.FileLock(self.folder / ".merging", timeout=0)
            try:
                with lock:
                    _merged([(path, Chunk.opened(path)) for path in paths])
            except (filelock.Timeout, FileNotFoundError, MotetError):
                return  # merging can wait: what was added is kept already


def _merged(found: list[tuple[Path, Chunk]]) -> None:
    """One chunk instead of many; the many go only when the one is there, so no reader misses a row."""
    chunks = [chunk for _, chunk in found]
    hashes, first = np.unique(np.concatenate([chunk.hashes for chunk in chunks]), return_index=True)
    value = take(concat([chunk.value for chunk in chunks]), first)
    problems = pa.concat_arrays([chunk.problems for chunk in chunks]).take(pa.array(first))
    Chunk(hashes, value, problems).write(found[0][0].parent, _moment(found[0][0]))
    for path, _ in found:
        path.unlink(missing_ok=True)


def _mergeable(paths: list[Path]) -> Iterator[list[Path]]:
    tiers: dict[int, list[Path]] = {}
    for path in paths:
        tiers.setdefault(int(math.log(int(path.name.split("-")[1]), FEW)), []).append(path)
    for tier in tiers.values():
        if len(tier) >= FEW and sum(_size(path) for path in tier) <= LARGE:
            yield tier


def _listed(folder: Path) -> list[Path]:
    """The chunks in order of time. Listed twice alike, since one listing may miss both sides of a merge."""
    before: list[Path] | None = None
    while True:
        paths = sorted(folder.glob(f"*{sealed.SUFFIX}"))
        if paths == before:
            return paths
        before = paths


def _moment(path: Path) -> int:
    return int(path.name.split("-")[0])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
