"""MiniLM-L6's computation written as ONNX from its published weights.

BERT, 6 layers of 384 with 12 heads. The tokens of all texts lie one after the other, so nothing is padded. Only
attention, which is of one text at a time, lays them out by texts; where these differ in length it does so by copies
and masks what is beyond a text's end. Source: Devlin et al. 2018 (arXiv 1810.04805);
Wang et al. 2020 (arXiv 2002.10957).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from motet import sessions
from motet.models.content.minilm_shape import HEADS, LAYERS, POSITIONS, WIDTH, Precision

Weights = Mapping[str, NDArray[np.float32]]


def read_safetensors(file: Path) -> dict[str, NDArray[np.float32]]:
    """The float32 tensors of a safetensors file, by name."""
    raw = file.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header: dict[str, Any] = json.loads(raw[8:start])
    return {
        name: np.frombuffer(raw[start + each["data_offsets"][0] : start + each["data_offsets"][1]], np.float32)
        .reshape(each["shape"])
        .copy()
        for name, each in header.items()
        if each.get("dtype") == "F32"
    }


def write(file: Path, weights: Path, precision: Precision, ragged: bool) -> None:
    """Makes the encoder's file from the published weights, and one of its tensors beside it."""
    sessions.write(encoder(read_safetensors(weights), precision, ragged), file)


def encoder(weights: Weights, precision: Precision, ragged: bool) -> onnx.ModelProto:
    """An ONNX model of texts' tokens, one text after the other: ids int64[tokens] -> float32[tokens, 384].

    Equally long texts are given as they are: texts int64[texts, length].
    ragged: for texts of any lengths. places: int64[tokens], where in its text each token stands. slots: int64[texts,
    longest], the token in each place of each text, any where there is none. mask: float32[texts, 1, 1, longest], 0,
    and minus infinity where there is none. back: int64[tokens], where in `slots` each token is.

    Both give the same numbers to the bit. int8: weights per output, activations per token, both symmetric. A token's
    scale comes from that token alone, so a text's vector does not depend on the texts beside it.
    """
    graph = _Graph(weights, precision, ragged)
    x = graph.embedded()
    for layer in range(LAYERS):
        x = graph.layer(x, f"encoder.layer.{layer}.")
    return graph.model(x)


class _Graph:
    def __init__(self, weights: Weights, precision: Precision, ragged: bool) -> None:
        self._weights, self._precision, self._ragged = weights, precision, ragged
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        out = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants[name] = numpy_helper.from_array(np.array(value, order="C"), name)
        return name

    def ints(self, *values: int) -> str:
        return self.constant("ints" + "_".join(map(str, values)), np.array(values, np.int64))

    def number(self, value: float) -> str:
        return self.constant(f"number{value}", np.array(value, np.float32))

    def embedded(self) -> str:
        w = self._weights
        words = self.constant("words", w["embeddings.word_embeddings.weight"])
        # All tokens are of the first type, so its vector is part of each position's.
        types = w["embeddings.token_type_embeddings.weight"][0]
        positions = self.constant("positions", w["embeddings.position_embeddings.weight"][:POSITIONS] + types)
        if self._ragged:
            x = self.add("Add", self.add("Gather", words, "ids"), self.add("Gather", positions, "places"))
        else:
            here = self.add("Slice", positions, self.ints(0), self.add("Shape", "texts", start=1), self.ints(0))
            x = self.add("Reshape", self.add("Add", self.add("Gather", words, "texts"), here), self.ints(-1, WIDTH))
        return self.normalised(x, "embeddings.LayerNorm")

    def layer(self, x: str, at: str) -> str:
        seen = self.attention(x, at + "attention.self.")
        seen = self.linear(seen, at + "attention.output.dense")
        x = self.normalised(self.add("Add", x, seen), at + "attention.output.LayerNorm")
        wide = self.add("Gelu", self.linear(x, at + "intermediate.dense"))
        narrow = self.linear(wide, at + "output.dense")
        return self.normalised(self.add("Add", x, narrow), at + "output.LayerNorm")

    def attention(self, x: str, at: str) -> str:
        # Queries, keys and values by one product. Queries carry the scale.
        scale = 1 / math.sqrt(WIDTH / HEADS)
        names, scales = ("query", "key", "value"), (scale, 1.0, 1.0)
        w = np.concatenate([self._weights[f"{at}{n}.weight"] * s for n, s in zip(names, scales, strict=True)])
        b = np.concatenate([self._weights[f"{at}{n}.bias"] * s for n, s in zip(names, scales, strict=True)])
        joined = self.product(x, w.astype(np.float32), b.astype(np.float32), at + "qkv")
        parts = [3, HEADS, WIDTH // HEADS]
        if not self._ragged:
            layout = self.add("Concat", self.add("Shape", "texts"), self.ints(*parts), axis=0)
            return self.seen(self.add("Reshape", joined, layout))
        by_text = self.add("Gather", joined, "slots", axis=0)
        return self.add("Gather", self.seen(self.add("Reshape", by_text, self.ints(0, 0, *parts))), "back", axis=0)

    def seen(self, parted: str) -> str:
        """What each token sees of its text: [texts x tokens, 384] from [texts, tokens, 3, heads, 32]."""
        q = self.pick(parted, 0, [0, 2, 1, 3])
        k = self.pick(parted, 1, [0, 2, 3, 1])
        v = self.pick(parted, 2, [0, 2, 1, 3])
        near = self.add("MatMul", q, k)
        shares = self.add("Softmax", self.add("Add", near, "mask") if self._ragged else near, axis=-1)
        seen = self.add("Transpose", self.add("MatMul", shares, v), perm=[0, 2, 1, 3])
        return self.add("Reshape", seen, self.ints(-1, WIDTH))

    def pick(self, parted: str, which: int, order: list[int]) -> str:
        one = self.add("Gather", parted, self.constant(f"index{which}", np.array(which, np.int64)), axis=2)
        return self.add("Transpose", one, perm=order)

    def linear(self, x: str, at: str) -> str:
        return self.product(x, self._weights[at + ".weight"], self._weights[at + ".bias"], at)

    def product(self, x: str, w: NDArray[np.float32], b: NDArray[np.float32], at: str) -> str:
        whole = self._whole if self._precision == "fp32" else self._quantized
        return self.add("Add", whole(x, w, at), self.constant(at + ".b", b))

    def _whole(self, x: str, w: NDArray[np.float32], at: str) -> str:
        return self.add("MatMul", x, self.constant(at + ".w", w.T))

    def _quantized(self, x: str, w: NDArray[np.float32], at: str) -> str:
        by_output = np.abs(w).max(axis=1) / 127
        w8 = np.rint(w / by_output[:, None]).astype(np.int8)
        largest = self.add("ReduceMax", self.add("Abs", x), self.ints(-1), keepdims=1)
        by_token = self.add("Div", largest, self.number(127.0))
        x8 = self.add("Round", self.add("Div", x, by_token))
        x8 = self.add("Cast", self.add("Add", x8, self.number(128.0)), to=TensorProto.UINT8)
        zero = self.constant("middle", np.array(128, np.uint8))
        counts = self.add("MatMulInteger", x8, self.constant(at + ".w8", w8.T), zero)
        scaled = self.add("Mul", self.add("Cast", counts, to=TensorProto.FLOAT), by_token)
        return self.add("Mul", scaled, self.constant(at + ".s", by_output))

    def normalised(self, x: str, at: str) -> str:
        scale = self.constant(at + ".w", self._weights[at + ".weight"])
        shift = self.constant(at + ".b", self._weights[at + ".bias"])
        return self.add("LayerNormalization", x, scale, shift, epsilon=1e-12)

    def model(self, out: str) -> onnx.ModelProto:
        ragged = [
            helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"]),
            helper.make_tensor_value_info("places", TensorProto.INT64, ["tokens"]),
            helper.make_tensor_value_info("slots", TensorProto.INT64, ["texts", "longest"]),
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["texts", 1, 1, "longest"]),
            helper.make_tensor_value_info("back", TensorProto.INT64, ["tokens"]),
        ]
        even = [helper.make_tensor_value_info("texts", TensorProto.INT64, ["texts", "length"])]
        inputs = ragged if self._ragged else even
        hidden = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["tokens", WIDTH])
        graph = helper.make_graph(self._nodes, "minilm-l6", inputs, [hidden], list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        cast(Any, onnx.checker).check_model(model)
        return model
