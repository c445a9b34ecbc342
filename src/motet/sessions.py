"""onnxruntime's sessions, opened alike everywhere: on one thread, or on several that sleep while they wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def opened(model: str | bytes, cores: int = 1, outside: Mapping[str, NDArray[Any]] | None = None) -> Any:
    """A session over a model's file or bytes. outside: tensors that the model says lie elsewhere."""
    import onnxruntime

    ort: Any = onnxruntime
    options = ort.SessionOptions()
    options.intra_op_num_threads = cores
    # Threads that spin while they wait would take the cores from everybody else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if outside:
        values = [ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value)) for value in outside.values()]
        options.add_external_initializers(list(outside), values)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
