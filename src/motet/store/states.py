"""States as files: one zip archive each, arrays as .npy, plain values as JSON, a checksum for every part.

Nothing in it is ever executed when it is read: no pickles.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from motet.arrow import from_arrow, to_arrow
from motet.batch import Codes, Ragged, Vocabulary
from motet.errors import MotetError, RunError
from motet.model import State
from motet.store import durable, sealed

BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, LookupError, EOFError, RuntimeError)
"""What the readers of zip, .npy and JSON raise when the bytes make no sense."""

PLAIN = (bool, int, float, str, type(None))


def write(path: Path, state: State, about: Mapping[str, Any]) -> None:
    """Keeps a state and what is said about it, in place of what was at the path."""

    def fill(file: Any) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            parts = {name: _Writer(archive, name).tree(part) for name, part in state.parts.items()}
            archive.writestr("state.json", json.dumps(parts))
            archive.writestr("about.json", json.dumps(dict(about)))

    durable.write(path, fill)


def read(path: Path) -> State:
    """The state at a path, equal to the one kept to the last bit. FileNotFoundError if there is none."""

    def parts(archive: zipfile.ZipFile) -> State:
        found = cast("dict[str, Any]", json.loads(archive.read("state.json")))
        reader = _Reader(archive, path)
        return State(**{name: reader.value(tree) for name, tree in found.items()})

    return _opened(path, parts)


def about(path: Path) -> dict[str, Any]:
    return _opened(path, lambda archive: json.loads(archive.read("about.json")))


def _opened(path: Path, read: Callable[[zipfile.ZipFile], Any]) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            return read(archive)
    except (FileNotFoundError, MotetError):
        raise
    except OSError as error:
        raise durable.unreadable(path, error) from error
    except BROKEN as error:
        raise durable.damaged(path, str(error)) from error


class _Writer:
    """Turns a part into JSON in which an object always means something that JSON has no form for."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.archive, self.name, self.count = archive, name, 0

    def tree(self, value: Any) -> Any:
        if type(value) is float and value != value:
            return {"nan": struct.pack("<d", value).hex()}  # JSON knows one NaN only
        if type(value) in PLAIN:
            return value
        if type(value) is list:
            return [self.tree(item) for item in cast("list[Any]", value)]
        if type(value) is tuple:
            return {"tuple": [self.tree(item) for item in cast("tuple[Any, ...]", value)]}
        if isinstance(value, Mapping):
            pairs = cast(Mapping[Any, Any], value).items()
            return {"dict": [[self.tree(key), self.tree(item)] for key, item in pairs]}
        if isinstance(value, State):
            return {"state": self.tree(dict(value.parts))}
        return self.member(value)

    def member(self, value: Any) -> dict[str, str]:
        if isinstance(value, (np.ndarray, np.generic)):
            array = np.asarray(cast(Any, value))
            if array.dtype.hasobject:
                raise RunError(f"state part {self.name!r} is an array of objects", help="numbers, or a list of texts")
            kind = "array" if isinstance(value, np.ndarray) else "scalar"
            return self.put(kind, lambda file: np.lib.format.write_array(file, array, allow_pickle=False))
        if isinstance(value, (bytes, bytearray)):
            return self.put("bytes", lambda file: file.write(value))
        if isinstance(value, Vocabulary):
            return self.put("vocabulary", lambda file: sealed.pour(file, to_arrow(value.names)))
        if isinstance(value, (pa.Array, Codes, Ragged)):
            return self.put("arrow", lambda file: sealed.pour(file, to_arrow(value)))
        raise RunError(
            f"state part {self.name!r} is a {type(value).__name__}, which cannot be kept",
            help="arrays, text, bytes, numbers, columns, and lists, tuples and dicts of them",
        )

    def put(self, kind: str, fill: Callable[[Any], Any]) -> dict[str, str]:
        name = f"{quote(self.name)}/{self.count}.{kind}"
        self.count += 1
        with self.archive.open(name, "w", force_zip64=True) as file:
            fill(file)
        return {kind: name}


class _Reader:
    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.archive, self.path = archive, path

    def value(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.value(item) for item in cast("list[Any]", tree)]
        if not isinstance(tree, dict):
            return tree
        ((kind, inner),) = cast("dict[str, Any]", tree).items()
        if kind == "nan":
            return struct.unpack("<d", bytes.fromhex(inner))[0]
        if kind == "tuple":
            return tuple(self.value(item) for item in inner)
        if kind == "dict":
            return {self.value(key): self.value(item) for key, item in inner}
        if kind == "state":
            return State(**self.value(inner))
        return self.member(kind, self.archive.read(inner))

    def member(self, kind: str, data: bytes) -> Any:
        if kind == "bytes":
            return data
        if kind in ("arrow", "vocabulary"):
            value = from_arrow(sealed.opened(pa.py_buffer(data), self.path, checked=False))
            return value if kind == "arrow" else Vocabulary(cast(Any, value))
        array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return array if kind == "array" else array[()]
