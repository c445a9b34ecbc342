"""Chunks: what one commit of cells is on disk, and how many small ones become a large one."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pyarrow as pa

from motet.arrow import from_arrow, to_arrow
from motet.batch import Array, concat, take
from motet.errors import MotetError
from motet.store import sealed

FEW = 16
"""Chunks of about the same number of rows that are let be before they are merged."""

LARGE = 256 << 20
"""Bytes that are merged into one chunk at most."""


@dataclass(frozen=True)
class Chunk:
    """One commit: row i is hashes[i], value[i] and, where the value is null for a reason, problems[i]."""

    hashes: Array
    value: Any
    problems: pa.Array

    @staticmethod
    def opened(path: Path) -> Chunk:
        return Chunk._made(sealed.read(path))

    @staticmethod
    def read(data: pa.Buffer, place: str) -> Chunk:
        """A chunk from the bytes of its file; the place is what an error names."""
        return Chunk._made(sealed.opened(data, Path(place), checked=True))

    @staticmethod
    def of(hashes: Array, value: Any, problems: Sequence[str | None] | None) -> Chunk:
        said = pa.nulls(len(hashes), pa.string()) if problems is None else pa.array(problems, pa.string())
        return Chunk(np.ascontiguousarray(hashes).view("S16"), value, said)

    @staticmethod
    def _made(batch: pa.RecordBatch) -> Chunk:
        hashes = np.frombuffer(batch.column("#hash").buffers()[1], "S16")[: batch.num_rows]
        return Chunk(hashes, from_arrow(batch.drop_columns(["#hash", "#problem"])), batch.column("#problem"))

    def batch(self) -> pa.RecordBatch:
        batch = to_arrow(self.value)
        raw = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(self.hashes), [None, pa.py_buffer(self.hashes.tobytes())]
        )
        return batch.append_column("#hash", raw).append_column("#problem", self.problems)

    def write(self, folder: Path, moment: int) -> None:
        name = f"{moment:020d}-{len(self.hashes)}-{secrets.token_hex(4)}{sealed.SUFFIX}"
        sealed.write(folder / name, self.batch())


def listed(folder: Path) -> list[Path]:
    """The chunks in order of time. Listed twice alike, since one listing may miss both sides of a merge."""
    before: list[Path] | None = None
    while True:
        paths = sorted(folder.glob(f"*{sealed.SUFFIX}"))
        if paths == before:
            return paths
        before = paths


def merge(folder: Path) -> None:
    """Puts small chunks together where many have gathered, so that a row is rewritten a few times in all."""
    for paths in _mergeable(listed(folder)):
        try:
            with filelock.FileLock(folder / ".merging", timeout=0):
                _merged([(path, Chunk.opened(path)) for path in paths])
        except (OSError, MotetError):
            return  # another process is at it, or it can wait: what was added is kept already


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
        if len(tier) >= FEW and sum(_size(path) for path in tier[:FEW]) <= LARGE:
            yield tier[:FEW]


def _moment(path: Path) -> int:
    return int(path.name.split("-")[0])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
