"""Any ONNX file as a model, with small files made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import motet as mt
from motet.errors import GraphError
from tests.shop import Item, Purchase, shop

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def file(folder: Path, op: str, inputs: dict[str, tuple[int, list[Any]]], out: list[Any], **attributes: Any) -> Path:
    """A file of one operation."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    made = helper.make_tensor_value_info("out", FLOAT, out)
    graph = helper.make_graph([helper.make_node(op, list(inputs), ["out"], **attributes)], "g", given, [made])
    path = folder / f"{op}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture
def add(tmp_path: Path) -> Path:
    return file(tmp_path, "Add", {"a": (FLOAT, ["n"]), "b": (FLOAT, ["n"])}, ["n"])


def test_it_computes_what_the_file_computes(add: Path, tmp_path: Path) -> None:
    data = shop()
    total = mt.ONNX(add)(a=Purchase.amount, b=Purchase.buyer.age)
    fitted = mt.Graph(total=total).fit(data, store=tmp_path, quiet=True)
    assert fitted.ask(buyer="b3", amount=2.5)["total"] == 2.5 + 23


def test_columns_become_what_the_file_wants(tmp_path: Path) -> None:
    """Whole numbers of shape [n, 1]."""
    path = file(tmp_path, "Cast", {"a": (INT, ["n", 1])}, ["n", 1], to=FLOAT)
    fitted = mt.Graph(v=mt.ONNX(path)(a=Purchase.amount)).fit(shop(), store=tmp_path, quiet=True)
    assert fitted.ask(buyer="b3", amount=2.7)["v"] == 2


def test_it_ranks_candidates_by_what_it_gives_each(add: Path, tmp_path: Path) -> None:
    found = mt.retrieve(Item, k=5, by=[mt.Popular()(Purchase.item)], exclude=mt.past(Purchase.item, by=Purchase.buyer))
    best = mt.ONNX(add)(found, a=Item.price, b=Purchase.amount)
    fitted = mt.Graph(best=best).fit(shop(events=60), store=tmp_path, quiet=True)
    scores = [item["score"] for item in fitted.ask(buyer="b3", amount=100)["best"]]
    assert scores == sorted(scores, reverse=True)
    assert {score - 101 for score in scores} <= set(range(12))


def test_a_vector_is_as_wide_as_the_file_makes_it(tmp_path: Path) -> None:
    path = file(tmp_path, "Concat", {"a": (FLOAT, ["n", 1]), "b": (FLOAT, ["n", 1])}, ["n", 2], axis=1)
    both: Any = mt.ONNX(path, vector=True)(a=Item.price, b=Item.price)
    fitted = mt.Graph(both=both).fit(shop(), store=tmp_path, quiet=True)
    made = np.asarray(fitted.context(shop()).shared(both))
    assert made.shape == (12, 2)
    assert made[3].tolist() == [4, 4]


def test_a_changed_file_is_a_new_model(add: Path, tmp_path: Path) -> None:
    before = mt.ONNX(add)(a=Purchase.amount, b=Purchase.amount).fingerprint
    again = mt.ONNX(add)(a=Purchase.amount, b=Purchase.amount).fingerprint
    file(tmp_path, "Mul", {"a": (FLOAT, ["n"]), "b": (FLOAT, ["n"])}, ["n"]).replace(add)
    assert again == before
    assert mt.ONNX(add)(a=Purchase.amount, b=Purchase.amount).fingerprint != before


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda add: mt.ONNX("nowhere.onnx"), "no file nowhere.onnx"),
        (lambda add: mt.ONNX(add, output="logit"), "no output 'logit'"),
        (lambda add: mt.ONNX(add)(a=Purchase.amount), "not given its input: 'b'"),
        (lambda add: mt.ONNX(add)(a=Purchase.amount, b=Purchase.amount, c=Purchase.amount), "does not have: 'c'"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_built(add: Path, build: Any, says: str) -> None:
    with pytest.raises(GraphError, match=says) as refused:
        build(add)
    assert refused.value.help
