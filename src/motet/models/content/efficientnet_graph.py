"""EfficientNet-Lite0's computation written as ONNX from its published weights.

Blocks of a pointwise, a depthwise and a pointwise convolution, without squeeze-and-excitation and with ReLU6. Each
batch normalisation is folded into the convolution before it. Source: Tan & Le 2019 (arXiv 1905.11946).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from motet import sessions
from motet.models.content import torch_file

SIZE = 224
HALVED = {1, 3, 5, 11}  # the blocks that halve height and width
BLOCKS = 16
EPSILON = 1e-3  # of the batch normalisations
OPSET = 17


def write(file: Path, weights: Path) -> None:
    sessions.write(model(torch_file.read(weights)), file)


def model(weights: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """images float32 [n, 3, 224, 224] -> features float32 [n, 1280], logits float32 [n, 1000]."""
    graph = _Graph(weights)
    x = graph.relu6(graph.convolved("images", "_conv_stem", "_bn0", stride=2))
    for block in range(BLOCKS):
        x = graph.block(x, f"_blocks.{block}.", 2 if block in HALVED else 1)
    x = graph.relu6(graph.convolved(x, "_conv_head", "_bn1"))
    features = graph.add("Flatten", graph.add("GlobalAveragePool", x), out="features")
    graph.add("Gemm", features, graph.constant("_fc.weight"), graph.constant("_fc.bias"), out="logits", transB=1)
    return graph.model()


class _Graph:
    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, op: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def constant(self, name: str, value: NDArray[Any] | None = None) -> str:
        held = self._weights[name] if value is None else value
        self._constants.append(numpy_helper.from_array(np.array(held, np.float32, order="C"), name))
        return name

    def convolved(self, x: str, name: str, norm: str, stride: int = 1) -> str:
        """A convolution and the normalisation after it, padded as TensorFlow pads."""
        weight = self._weights[f"{name}.weight"]
        gain = self._weights[f"{norm}.weight"] / np.sqrt(self._weights[f"{norm}.running_var"] + EPSILON)
        bias = self._weights[f"{norm}.bias"] - gain * self._weights[f"{norm}.running_mean"]
        kernel = self.constant(name, weight * gain[:, None, None, None])
        groups = len(weight) if weight.shape[1] == 1 else 1
        return self.add(
            "Conv", x, kernel, self.constant(norm, bias), auto_pad="SAME_UPPER", strides=[stride] * 2, group=groups
        )

    def relu6(self, x: str) -> str:
        if not any(each.name == "six" for each in self._constants):
            self.constant("zero", np.array(0))
            self.constant("six", np.array(6))
        return self.add("Clip", x, "zero", "six")

    def block(self, x: str, at: str, stride: int) -> str:
        y = x
        if f"{at}_expand_conv.weight" in self._weights:
            y = self.relu6(self.convolved(y, f"{at}_expand_conv", f"{at}_bn0"))
        y = self.relu6(self.convolved(y, f"{at}_depthwise_conv", f"{at}_bn1", stride))
        y = self.convolved(y, f"{at}_project_conv", f"{at}_bn2")
        first = f"{at}_expand_conv.weight" if y != x and f"{at}_expand_conv.weight" in self._weights else ""
        width = self._weights[first].shape[1] if first else self._weights[f"{at}_depthwise_conv.weight"].shape[0]
        same = stride == 1 and width == len(self._weights[f"{at}_project_conv.weight"])
        return self.add("Add", x, y) if same else y

    def model(self) -> onnx.ModelProto:
        value = helper.make_tensor_value_info
        outputs = [
            value("features", TensorProto.FLOAT, ["n", len(self._weights["_conv_head.weight"])]),
            value("logits", TensorProto.FLOAT, ["n", len(self._weights["_fc.bias"])]),
        ]
        images = value("images", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])
        graph = helper.make_graph(self._nodes, "efficientnet-lite0", [images], outputs, self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
