"""Weights out of a file that torch has written, without torch: the form that it wrote before version 1.6.

Such a file is pickled. Only what describes a tensor is unpickled, so a file can hold no code that runs.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from motet.errors import RunError

MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
Tensor = tuple[str, int, tuple[int, ...], tuple[int, ...]]
"""Where a tensor lies: in which storage, from where on, its shape, and how far apart its values are."""


def read(file: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a state_dict by name. Errors: RunError for any other file."""
    with file.open("rb") as opened:
        if _Tensors(opened).load() != MAGIC:
            raise RunError(f"{file} is no file that torch wrote before 1.6", help="write it as ONNX, and give that")
        for _ in ("its version", "the machine that wrote it"):
            _Tensors(opened).load()
        described = _Tensors(opened)
        tensors: dict[str, Tensor] = described.load()
        stored: dict[str, NDArray[Any]] = {}
        for key in _Tensors(opened).load():
            size, kind = int.from_bytes(opened.read(8), "little"), described.kinds[key]
            stored[key] = np.frombuffer(opened.read(size * kind.itemsize), kind)
    return {name: _placed(stored, *tensor) for name, tensor in tensors.items()}


def _placed(
    stored: dict[str, NDArray[Any]], key: str, start: int, shape: tuple[int, ...], apart: tuple[int, ...]
) -> NDArray[Any]:
    flat = stored[key]
    last = start + sum((size - 1) * step for size, step in zip(shape, apart, strict=True))
    if min((start, *shape, *apart), default=0) < 0 or last >= len(flat):
        raise RunError("a file of weights holds a tensor that lies beyond its values", help="fetch it again")
    strides = [step * flat.itemsize for step in apart]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat[start:], shape, strides))


class _Tensors(pickle.Unpickler):
    """kinds: of each storage that was named."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.kinds: dict[str, np.dtype[Any]] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _described
        if module_name == "torch" and global_name in DTYPES:
            return global_name
        raise RunError(f"a file of weights names {module_name}.{global_name}, which is no tensor", help="use another")

    def persistent_load(self, pid: Any, /) -> str:
        _, kind, key, *_ = pid
        self.kinds[key] = DTYPES[kind]
        return key


def _described(key: str, start: int, shape: tuple[int, ...], apart: tuple[int, ...], *rest: Any) -> Tensor:
    return key, start, shape, apart
