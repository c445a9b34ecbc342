"""What a column holds, as bytes that are equal where the contents are."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import Array, Codes, Ragged, Value
from motet.rows.given import missing, numpy


def contents(value: Value) -> list[str | bytes]:
    """For a hash. Slices, chunks and what lies beneath a null make no difference."""
    if isinstance(value, Codes):
        return ["codes", *_plain(value.codes), *_arrow(value.names.names)]
    if isinstance(value, Ragged):
        flat, offsets = value.windows.flat()
        names = [] if value.names is None else _arrow(value.names.names)
        return ["ragged", *_plain(flat), *_plain(offsets), *names]
    return _arrow(value) if isinstance(value, pa.Array) else _plain(cast(Array, value))


def _plain(array: Array) -> list[str | bytes]:
    return [str(array.dtype), str(array.shape), np.ascontiguousarray(array).tobytes()]


def _arrow(array: Any) -> list[str | bytes]:
    """Of a key, text or image column: int64, large_string or large_binary."""
    gone = missing(array).tobytes()
    if pa.types.is_large_binary(array.type):
        return [*_bytes(array.fill_null(b"")), gone]
    if not pa.types.is_large_string(array.type):
        return [str(array.type), gone, numpy(array.fill_null(0)).tobytes()]
    return ["texts", gone, *_bytes(array.fill_null(""))]


def _bytes(filled: Any) -> list[str | bytes]:
    """How long each is, and all of them one behind the other."""
    ends = np.frombuffer(filled.buffers()[1], np.int64)[filled.offset : filled.offset + len(filled) + 1]
    written = memoryview(filled.buffers()[2] or b"")[int(ends[0]) : int(ends[-1])]
    return [numpy(pc.binary_length(filled)).tobytes(), written.tobytes()]
