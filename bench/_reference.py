"""The reference graph of bench/serve.py, and the same three models called by hand. It is no benchmark itself.

A query is embedded by MiniLM-L6 (fp32), the 100 nearest of 10,000 items of 384 numbers are found exactly, a small DLRM
(tables of 32 numbers, dot interaction, an MLP of 128, 64 and 1) scores them, the best ten are the answer. Items and
weights are drawn at random: what is measured is time, not quality.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import motet as mt
from motet.batch import Array
from motet.models.content.minilm import MiniLM

Embed = Callable[[list[str]], Array]
USERS, ITEMS, WIDTH, K, TOP = 100_000, 10_000, 32, 100, 10
HERE = Path(__file__).resolve().parent
NODES = 20  # of the longer chain
WORDS = (
    "red running shoes for a rainy autumn day cheap wireless noise cancelling headphones kids winter jacket large "
    "wooden dining table modern black leather office chair organic green tea gift box small garden tools set classic "
    "novel about sea travel guide italy gluten free pasta recipe book"
)


class Item(mt.Entity):
    item_id: mt.Key
    number: mt.Number
    vector: mt.Vector


class Ask(mt.Event):
    user: mt.Number
    at: mt.Time
    query: mt.Text
    item: Item = mt.outcome()


def vectors() -> Array:
    drawn = np.random.default_rng(0).standard_normal((ITEMS, 384), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def items() -> list[dict[str, Any]]:
    return [{"item_id": i, "number": float(i), "vector": row} for i, row in enumerate(vectors().tolist())]


def requests(n: int = 1_000) -> list[dict[str, Any]]:
    """Users and queries of eight words."""
    drawn, words = random.Random(0), WORDS.split()
    return [
        {"user": float(drawn.randrange(USERS)), "query": " ".join(drawn.choice(words) for _ in range(8))}
        for _ in range(n)
    ]


@mt.function(mt.Number)
def unchanged(value: Array) -> Array:
    return value


def chain(nodes: int) -> mt.Graph:
    """Nodes that do nothing, one behind the other: what a node costs by itself."""
    value: mt.Number = Ask.user
    for _ in range(nodes):
        value = unchanged(value)
    return mt.Graph(value=value)


def graph(ranker: Path | str) -> mt.Graph:
    near = Item.vector @ mt.Embed("minilm-l6", precision="fp32")(Ask.query)
    found = mt.retrieve(Item, k=K, by=[near])
    best = mt.ONNX(ranker)(found, user=Ask.user, item=Item.number, score=found.score)
    return mt.Graph(top=best.top(TOP))


def write_ranker(file: Path) -> None:
    """The DLRM as ONNX: user int64[n], item int64[n], score float32[n] -> logit float32[n]."""
    rng = np.random.default_rng(1)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        scale = 1 / np.sqrt(shape[0] if len(shape) > 1 and shape[0] < 1_000 else 1)
        return numpy_helper.from_array((scale * rng.standard_normal(shape)).astype(np.float32), name)

    sizes = [2 * WIDTH + 2, 128, 64, 1]
    layers = list(itertools.pairwise(sizes))
    constants = [weight("users", USERS, WIDTH), weight("items", ITEMS, WIDTH)]
    constants += [weight(f"w{i}", a, b) for i, (a, b) in enumerate(layers)]
    constants += [weight(f"b{i}", b) for i, (_, b) in enumerate(layers)]
    constants += [numpy_helper.from_array(np.array([1], np.int64), "one")]
    nodes = [
        helper.make_node("Gather", ["users", "user"], ["u"]),
        helper.make_node("Gather", ["items", "item"], ["i"]),
        helper.make_node("Mul", ["u", "i"], ["product"]),
        helper.make_node("ReduceSum", ["product", "one"], ["dot"]),
        helper.make_node("Unsqueeze", ["score", "one"], ["s"]),
        helper.make_node("Concat", ["u", "i", "dot", "s"], ["x0"], axis=1),
    ]
    for i in range(len(layers)):
        nodes.append(helper.make_node("Gemm", [f"x{i}", f"w{i}", f"b{i}"], [f"y{i}"]))
        if i < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [f"y{i}"], [f"x{i + 1}"]))
    nodes.append(helper.make_node("Squeeze", [f"y{len(layers) - 1}", "one"], ["logit"]))
    inputs = [
        helper.make_tensor_value_info("user", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("item", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
    ]
    output = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n"])
    made = helper.make_graph(nodes, "dlrm", inputs, [output], constants)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(file))


def prepared(folder: Path, made: mt.Graph, name: str) -> str:
    """Publishes a graph, and names it as the command line does."""
    data = mt.Data({Item: items(), Ask: [{"user": 1.0, "query": "x", "at": 0, "item": 0}]})
    made.fit(data, store=folder, quiet=True).prepare(name=name)
    file = folder / "reference.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(HERE)!r})\nfrom _reference import NODES, chain, graph\n"
        f"served = graph({str(folder / 'ranker.onnx')!r})\nshort, long = chain(0), chain(NODES)\n"
    )
    return f"{file}:{name}"


class ByHand:
    """The three models, called one after the other by hand: no graph, no HTTP, no JSON. embed: Motet's own embedder, if
    no other is given."""

    def __init__(self, ranker: Path, embed: Embed | None = None) -> None:
        import onnxruntime

        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.rank: Any = onnxruntime.InferenceSession(str(ranker), options, providers=["CPUExecutionProvider"])
        self.embed, self.items = embed or MiniLM("fp32").embed, vectors()

    def __call__(self, asks: list[dict[str, Any]]) -> list[tuple[list[int], list[float]]]:
        """Items and scores of each ask, best first."""
        near = self.embed([ask["query"] for ask in asks]) @ self.items.T
        found = np.argpartition(near, -K, axis=1)[:, -K:]
        score = np.take_along_axis(near, found, 1)
        user = np.repeat(np.array([ask["user"] for ask in asks], np.int64), K)
        fed = {"user": user, "item": found.ravel(), "score": score.ravel()}
        logit = self.rank.run(None, fed)[0].reshape(len(asks), K)
        order = np.argsort(-logit, axis=1)[:, :TOP]
        best, scores = np.take_along_axis(found, order, 1), np.take_along_axis(logit, order, 1)
        return list(zip(best.tolist(), scores.tolist(), strict=True))
