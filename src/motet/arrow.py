"""Values as Arrow, and back, to the bit: what prepared columns and cells are on disk.

Each field's metadata says which kind of value it holds, so a file needs nothing beside it to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa

from motet.batch import Array, Codes, Ragged, Value, Vocabulary
from motet.errors import RunError
from motet.windows import Windows

KIND, SHAPE = b"motet", b"shape"
Field: TypeAlias = tuple[Any, Any]  # an Arrow array and the Arrow field that says what it means


def to_arrow(value: Value) -> pa.RecordBatch:
    """One column a value, or a column a field of a filled record.

    Of a `Ragged` only windows and names are kept.
    """
    if isinstance(value, Mapping):
        fields = [_written(name, column) for name, column in cast(Mapping[str, Any], value).items()]
        kind = b"record"
    else:
        fields, kind = [_written("value", value)], b"value"
    return batch_of(fields, {KIND: kind})


def batch_of(fields: list[Field], metadata: Mapping[bytes, bytes]) -> pa.RecordBatch:
    schema = pa.schema([field for _, field in fields], metadata=dict(metadata))
    return pa.RecordBatch.from_arrays([array for array, _ in fields], schema=schema)


def from_arrow(batch: pa.RecordBatch) -> Value:
    """The value that `to_arrow` was given. Shares the batch's memory wherever it can, so it is read-only."""
    schema = batch.schema
    values = {field.name: _read(batch.column(i), field) for i, field in enumerate(schema)}
    return values if schema.metadata[KIND] == b"record" else values["value"]


def _written(name: str, value: Any) -> Field:
    if isinstance(value, pa.Array):
        return _field(name, "arrow", value)
    if isinstance(value, Codes):
        return _field(name, "codes", _coded(value.codes, value.names))
    if isinstance(value, Ragged):
        flat, offsets = value.windows.flat()
        array, item = _written("item", flat if value.names is None else Codes(flat, value.names))
        lists = pa.LargeListArray.from_arrays(pa.array(offsets), array, type=pa.large_list(item))
        return _field(name, "ragged", lists)
    if isinstance(value, Mapping):
        fields = [_written(str(key), part) for key, part in cast(Mapping[str, Any], value).items()]
        record = pa.StructArray.from_arrays([array for array, _ in fields], fields=[field for _, field in fields])
        return _field(name, "record", record)
    if isinstance(value, np.ndarray):
        return _numbers(name, cast(Array, value))
    raise RunError(f"a {type(value).__name__} cannot be kept in a store", help="keep the columns that it is made of")


def _numbers(name: str, value: Array) -> Field:
    """Beyond one dimension a row is a list of fixed size; rows of nothing have no Arrow form but nulls."""
    width = int(np.prod(value.shape[1:], dtype=np.int64))
    if width == 0:
        array = pa.nulls(len(value))
    else:
        array = pa.array(np.ascontiguousarray(value).reshape(-1))
        if value.ndim > 1:
            array = pa.FixedSizeListArray.from_arrays(array, width)
    shape = ",".join(str(size) for size in value.shape[1:])
    return _field(name, "array", array, {SHAPE: shape.encode(), b"dtype": value.dtype.str.encode()})


def _coded(codes: Array, names: Vocabulary) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), names.names)


def _field(name: str, kind: str, array: pa.Array, more: Mapping[bytes, bytes] | None = None) -> Field:
    return array, pa.field(name, array.type, metadata={KIND: kind.encode(), **(more or {})})


def _read(array: Any, field: Any) -> Any:
    kind = field.metadata[KIND]
    if kind == b"arrow":
        return array
    if kind == b"codes":
        codes = array.indices.fill_null(-1) if array.null_count else array.indices
        return Codes(codes.to_numpy(), Vocabulary(array.dictionary))
    if kind == b"ragged":
        items = _read(array.values, field.type.value_field)
        offsets = array.offsets.to_numpy()
        if isinstance(items, Codes):
            return Ragged(Windows.of(items.codes, offsets), items.names)
        return Ragged(Windows.of(items, offsets))
    if kind == b"record":
        inner = [field.type.field(i) for i in range(field.type.num_fields)]
        return {part.name: _read(array.field(i), part) for i, part in enumerate(inner)}
    return _array(array, field)


def _array(array: Any, field: Any) -> Array:
    dtype = np.dtype(field.metadata[b"dtype"].decode())
    shape = tuple(int(size) for size in field.metadata[SHAPE].decode().split(",") if size)
    if pa.types.is_null(array.type):
        return np.zeros((len(array), *shape), dtype)
    flat = array.values if shape else array
    values = cast(Array, flat.to_numpy(zero_copy_only=False))
    return values.astype(dtype, copy=False).reshape(len(array), *shape)
