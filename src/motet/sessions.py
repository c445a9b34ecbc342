"""onnxruntime's sessions, opened alike everywhere: on one thread, or on several that soon sleep while they wait."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from motet.clock import library

# From 1.29 on it would report on models and machines to its maker, out of a thread of its own. It looks as it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

MAPPED = 1024  # bytes from which on a tensor stays in a file of its own, which all processes map
AWAKE = 100  # microseconds
LARGE = 1 << 20  # bytes from which on a model is worth a copy whose tensors are mapped


def write(model: Any, file: Path) -> None:
    """Keeps an ONNX model, its large tensors in one file beside it."""
    onnx = _onnx()
    tensors = file.with_suffix(".tensors")
    file.parent.mkdir(parents=True, exist_ok=True)
    # Named only when whole, so that a killed build, or two at once, leave no half file.
    with tempfile.TemporaryDirectory(dir=file.parent) as made:
        apart = {"save_as_external_data": True, "location": tensors.name, "size_threshold": MAPPED}
        onnx.save_model(model, f"{made}/model", **apart)
        if Path(made, tensors.name).exists():
            Path(made, tensors.name).replace(tensors)
        Path(made, "model").replace(file)


def mapped(file: Path, digest: str, folder: Path) -> Path:
    """The same model with its large tensors beside it, so that processes share them: of one file they load their own.

    digest: of the file's bytes, which the copy in the folder is called by. The file itself where it is small, or where
    the folder cannot be written.
    """
    copy = folder / f"onnx-{digest[:16]}.onnx"
    if copy.is_file() or file.stat().st_size < LARGE:
        return copy if copy.is_file() else file
    try:
        write(_onnx().load(str(file)), copy)
    except OSError:
        return file
    return copy


def opened(model: str | bytes, cores: int = 1) -> Any:
    """A session over a model's file or bytes."""
    ort = library("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = cores
    # From one operation to the next they wait awake, which is a fifth faster and costs the processor nothing. Longer
    # they would take the cores from everybody else.
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(AWAKE))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _onnx() -> Any:
    """The library that makes models; only opening them needs no more than onnxruntime."""
    return library("onnx")
