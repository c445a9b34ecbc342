"""Two steps of search that onnxruntime does several times as fast as NumPy, on one thread and without the interpreter.

Each is a graph of one operation, written when it is first needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motet import sessions

ZERO = 64  # the byte that stands for 0 in what is multiplied with bytes
OPSET = 17


def highest(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k <= m highest of each row of scores [n, m] and their places, descending, equal ones by lower place.

    What a NaN does to its row is not said.
    """
    values, places = _top_k(os.getpid()).run(None, {"scores": scores, "k": np.array([k], np.int64)})
    return values, places


def product_with(items: NDArray[np.int8]) -> Callable[[NDArray[np.uint8]], NDArray[np.int32]]:
    """What multiplies rows of bytes, uint8 [n, d] that mean themselves less ZERO, with items [m, d]: int32 [n, m].

    The bytes have to be below 128: above, processors without instructions for it give wrong sums.
    """
    onnx = _onnx()
    outside = onnx.TensorProto(name="items", data_type=onnx.TensorProto.INT8, dims=items.T.shape)
    # Beside the model and not in it, where it would be copied some six times on its way.
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="items")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMulInteger", ["rows", "items", "zero"], ["product"])],
        "product",
        [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.UINT8, ["n", items.shape[1]])],
        [onnx.helper.make_tensor_value_info("product", onnx.TensorProto.INT32, ["n", len(items)])],
        [outside, onnx.numpy_helper.from_array(np.array(ZERO, np.uint8), "zero")],
    )
    session = sessions.opened(_model(graph), outside={"items": items.T})
    return lambda rows: session.run(None, {"rows": rows})[0]


@lru_cache(maxsize=1)
def _top_k(process: int) -> Any:
    # `process`: a forked child opens its own.
    onnx = _onnx()
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("TopK", ["scores", "k"], ["values", "places"], axis=1, largest=1, sorted=1)],
        "highest",
        [value("scores", onnx.TensorProto.FLOAT, ["n", "m"]), value("k", onnx.TensorProto.INT64, [1])],
        [value("values", onnx.TensorProto.FLOAT, ["n", "k"]), value("places", onnx.TensorProto.INT64, ["n", "k"])],
    )
    return sessions.opened(_model(graph))


def _model(graph: Any) -> bytes:
    onnx = _onnx()
    opset = onnx.helper.make_opsetid("", OPSET)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def _onnx() -> Any:
    import onnx

    return onnx
