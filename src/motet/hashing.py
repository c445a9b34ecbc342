"""Row hashes: what a costly column's row was made from, in 16 bytes, equal in every process.

Codes and tags count by their names, so a vocabulary in another order changes nothing; NaN equals NaN;
a missing text is not an empty one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from motet.batch import Array, Codes, Ragged, Value, take
from motet.errors import RunError

BLOCK = 1 << 16
"""Rows that are encoded at a time: what they are copied into stays small."""


def row_hashes(fingerprint: str, values: Sequence[Value]) -> Array:
    """One hash a row of one column's inputs: V16 [n]. The fingerprint of the column is part of each."""
    rows = {len(_first(value)) for value in values}
    if len(rows) != 1:
        raise RunError(f"inputs of {sorted(rows)} rows have no row hashes", help="all inputs at one grain")
    person = blake2b(fingerprint.encode(), digest_size=16).digest()
    n = rows.pop()
    digests: list[bytes] = []
    for start in range(0, n, BLOCK):
        part = np.arange(start, min(start + BLOCK, n))
        digests += _digests([value if n <= BLOCK else take(value, part) for value in values], person)
    return np.frombuffer(b"".join(digests), "V16")


def _first(value: Any) -> Any:
    return _first(next(iter(cast(Mapping[str, Any], value).values()))) if isinstance(value, Mapping) else value


def _digests(values: Sequence[Any], person: bytes) -> list[bytes]:
    joined = _joined([piece for value in values for piece in _pieces(value)])
    offsets = _offsets(joined).tolist()
    data = memoryview(joined.buffers()[2] or b"")
    return [blake2b(data[start:end], digest_size=16, person=person).digest() for start, end in pairwise(offsets)]


def _joined(pieces: list[pa.Array]) -> pa.Array:
    if len(pieces) == 1:
        return pieces[0]
    return cast(Any, pc).binary_join_element_wise(*pieces, pa.scalar(b"", pa.large_binary()))


def _pieces(value: Any) -> list[pa.Array]:
    """A value as byte strings that say where they end: what is hashed of each row."""
    if isinstance(value, Mapping):
        record = cast(Mapping[str, Any], value)
        return [piece for name in sorted(record) for piece in _pieces(record[name])]
    if isinstance(value, Codes):
        return _texts(_named(value.codes, value))
    if isinstance(value, Ragged):
        return _lists(value)
    if isinstance(value, pa.Array):
        return _texts(value)
    if isinstance(value, np.ndarray):
        return [_fixed(cast(Array, value))]
    raise RunError(f"a {type(value).__name__} has no row hashes", help="costly models read columns, not all pairs")


def _named(codes: Array, value: Codes | Ragged) -> pa.Array:
    assert value.names is not None
    return value.names.names.take(pa.array(codes, mask=codes < 0))


def _lists(value: Ragged) -> list[pa.Array]:
    flat, offsets = value.windows.flat()
    elements = _joined([_fixed(flat)] if value.names is None else _texts(_named(flat, value)))
    ends = _offsets(elements)[offsets]
    data = elements.buffers()[2]
    pieces = [_fixed(np.diff(offsets)), _binary(ends, data)]
    if value.times is not None:
        pieces += _lists(Ragged(value.times))
    return pieces if value.now is None else [*pieces, _fixed(value.now)]


def _texts(value: Any) -> list[pa.Array]:
    """Each text behind its length; a missing one has length -1. Arrow numbers likewise."""
    if pa.types.is_dictionary(value.type):
        return _texts(value.dictionary_decode())
    if pa.types.is_null(value.type):
        return [_fixed(np.full(len(value), -1))]
    kind = value.type
    if not (pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        value = value.cast(pa.large_string())
    data = value.cast(pa.large_binary())
    lengths = cast(Any, pc).binary_length(data).fill_null(-1).to_numpy(zero_copy_only=False)
    return [_fixed(lengths), data.fill_null(b"") if data.null_count else data]


def _fixed(value: Array) -> pa.Array:
    """The bytes of each row of an array; every NaN is the same NaN."""
    rows = np.ascontiguousarray(value)
    if rows.dtype.kind == "f":
        rows = np.where(np.isnan(rows), np.array(np.nan, rows.dtype), rows)
    width = rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))
    return _binary(np.arange(len(rows) + 1) * width, pa.py_buffer(rows.tobytes()))


def _binary(offsets: Array, data: Any) -> pa.Array:
    ends = pa.py_buffer(np.ascontiguousarray(offsets, np.int64))
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(offsets) - 1, [None, ends, data])


def _offsets(array: Any) -> Array:
    start = array.offset
    return np.frombuffer(array.buffers()[1], np.int64)[start : start + len(array) + 1]
