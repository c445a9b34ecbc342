"""Cells: the values of one costly column, kept row by row under the hash of what each was made from.

A folder of chunks that are only ever added. Small chunks are merged into larger ones as they gather, so
a row is rewritten a few times in all, however many there are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from motet.batch import Array, Value, concat, offsets_of, take
from motet.errors import RunError
from motet.hashing import row_hashes
from motet.store.chunks import Chunk, listed, merge

__all__ = ["Cells", "row_hashes"]


@dataclass(frozen=True)
class Seen:
    """Chunks as of a moment, and where each row is among all their rows: keys[i], in order, is at rows[i]."""

    chunks: Mapping[Path, Chunk]
    keys: Array
    rows: Array

    def with_chunks(self, chunks: Mapping[Path, Chunk]) -> Seen:
        """These chunks more."""
        hashes = [chunk.hashes for chunk in chunks.values()]
        keys = np.concatenate([self.keys, *hashes])
        rows = np.concatenate([self.rows, np.arange(len(self.rows), len(keys))])
        order = np.argsort(keys, kind="stable")
        return Seen({**self.chunks, **chunks}, keys[order], rows[order])

    def find(self, hashes: Array) -> Array:
        """Where each row is, -1 where it is nowhere."""
        if not len(self.keys):
            return np.full(len(hashes), -1)
        asked = np.ascontiguousarray(hashes).view("S16")
        place = np.minimum(np.searchsorted(self.keys, asked), len(self.keys) - 1)
        return np.where(self.keys[place] == asked, self.rows[place], -1)

    def values(self, rows: Array) -> Value:
        """The values at these rows. Reads nothing but the chunks that they are in."""
        chunks = list(self.chunks.values())
        starts = offsets_of(np.array([len(chunk.hashes) for chunk in chunks]))
        of = np.searchsorted(starts, rows, side="right") - 1
        needed = np.unique(of) if len(rows) else [0]
        parts = [take(chunks[i].value, rows[of == i] - starts[i]) for i in needed]
        back = np.argsort(np.argsort(of, kind="stable"), kind="stable")
        return take(concat(parts), back)


NONE = Seen({}, np.zeros(0, "S16"), np.zeros(0, np.int64))


class Cells:
    """What is known of one column, in a folder that many processes may read and add to at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last = NONE

    def known(self, hashes: Array) -> Array:
        """Whether each row has been computed before: bool [n]. A null with a problem is known too."""
        return self._seen().find(hashes) >= 0

    def add(self, hashes: Array, value: Value, problems: Sequence[str | None] | None = None) -> None:
        """Keeps these rows durably, all of them or none. Rows that are known already stay as they are."""
        chunk = Chunk.of(hashes, value, problems)
        columns = cast(Mapping[str, Any], value).values() if isinstance(value, Mapping) else [value]
        if any(len(cast(Any, column)) != len(hashes) for column in [*columns, chunk.problems]):
            raise RunError(
                f"{len(hashes)} rows were asked for, but the model gave another number of values",
                help="apply(state, batch) returns batch.rows values",
            )
        if len(hashes):
            chunk.write(self.folder, time.time_ns())
            merge(self.folder)

    def read(self, hashes: Array) -> Value:
        """The value of each of these rows, in their order. RunError if one of them is not known."""
        seen = self._seen()
        rows = seen.find(hashes)
        unknown = int((rows < 0).sum())
        if unknown or not seen.chunks:
            raise RunError(
                f"{unknown} of {len(rows)} rows are not known to the cells in {self.folder}",
                help="add() them before they are read",
            )
        return seen.values(rows)

    def problems(self, hashes: Array) -> dict[str, int]:
        """Why values are null among these rows: how many for each reason, the most frequent first."""
        seen = self._seen()
        if not seen.chunks:
            return {}
        rows = seen.find(hashes)
        said = pa.concat_arrays([chunk.problems for chunk in seen.chunks.values()])
        found = said.take(pa.array(rows, mask=rows < 0)).drop_null()
        return dict(Counter(cast("list[str]", found.to_pylist())).most_common())

    def _seen(self) -> Seen:
        """What there is now, with what this process or another has added or merged since."""
        while True:
            paths, seen = listed(self.folder), self._last
            if not set(seen.chunks) <= set(paths):
                seen = NONE
            new = [path for path in paths if path not in seen.chunks]
            try:
                chunks = {path: self._last.chunks.get(path) or Chunk.opened(path) for path in new}
            except FileNotFoundError:
                continue  # merged into another chunk between listing and opening
            if new:
                self._last = seen.with_chunks(chunks)
            return self._last if new else seen
