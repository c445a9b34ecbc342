"""Any ONNX file as a model, with small files made here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

import motet as mt
from motet.batch import Batch, Codes, Vocabulary
from motet.errors import GraphError, RunError
from motet.model import NOTHING
from tests.shop import Item, Purchase, shop

FLOAT, INT, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
INT32, BOOL = TensorProto.INT32, TensorProto.BOOL


def file(folder: Path, op: str, inputs: dict[str, tuple[int, list[Any]]], out: list[Any], **attributes: Any) -> Path:
    """A file of one operation."""
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    made = helper.make_tensor_value_info("out", FLOAT, out)
    graph = helper.make_graph([helper.make_node(op, list(inputs), ["out"], **attributes)], "g", given, [made])
    path = folder / f"{op}.onnx"
    known = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 2)]
    onnx.save(helper.make_model(graph, opset_imports=known, ir_version=8), str(path))
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
    assert fitted.ask(buyer="b3", amount=2)["v"] == 2
    assert fitted.ask(buyer="b3", amount=2.7)["v"] is None


def test_it_ranks_candidates_by_what_it_gives_each(add: Path, tmp_path: Path) -> None:
    found = mt.retrieve(Item, k=5, by=[mt.Popular()(Purchase.item)], exclude=mt.past(Purchase.item, by=Purchase.buyer))
    best = mt.ONNX(add)(found, a=Item.price, b=Purchase.amount)
    fitted = mt.Graph(best=best).fit(shop(events=60), store=tmp_path, quiet=True)
    scores = [item["score"] for item in fitted.ask(buyer="b3", amount=100)["best"]]
    assert scores == sorted(scores, reverse=True)
    assert {score - 101 for score in scores} <= set(range(12))


def pair(folder: Path) -> Any:
    """A Vector of two numbers."""
    path = file(folder, "Concat", {"a": (FLOAT, ["n", 1]), "b": (FLOAT, ["n", 1])}, ["n", 2], axis=1)
    return mt.ONNX(path, vector=True)(a=Item.price, b=Item.price)


def same(folder: Path, shape: list[Any], kind: int = FLOAT, **config: Any) -> mt.ONNX:
    """A model that gives what it reads, numbers of such a shape."""
    return mt.ONNX(file(folder, "Cast", {"v": (kind, shape)}, shape, to=FLOAT), **config)


def test_a_vector_is_as_wide_as_the_file_makes_it(tmp_path: Path) -> None:
    both = pair(tmp_path)
    fitted = mt.Graph(both=both).fit(shop(), store=tmp_path, quiet=True)
    made = np.asarray(fitted.context(shop()).shared(both))
    assert made.shape == (12, 2)
    assert made[3].tolist() == [4, 4]


@pytest.mark.parametrize("shape", [["n"], ["n", 1]])
def test_one_number_a_row_is_a_vector_where_it_is_to_be_one(tmp_path: Path, shape: list[Any]) -> None:
    made = same(tmp_path, shape, vector=True).apply(NOTHING, Batch({"v": np.arange(3.0)}, rows=3))
    assert (made.shape, made.dtype) == ((3, 1), np.float32)


def test_of_no_rows_it_gives_none(tmp_path: Path) -> None:
    none = Batch({"v": np.zeros((0, 0), np.float32)}, rows=0)
    assert same(tmp_path, ["n", 2], vector=True).apply(NOTHING, none).shape == (0, 2)
    assert same(tmp_path, ["n"]).apply(NOTHING, none).shape == (0,)
    assert same(tmp_path, ["n", 2], INT, vector=True).apply(NOTHING, none).shape == (0, 2)


@pytest.mark.parametrize("shape", [["n"], ["n", 1]])
def test_texts_and_names_are_strings_and_a_missing_one_is_empty(tmp_path: Path, shape: list[Any]) -> None:
    coded: Any = {"keys_strings": ["tea", ""], "values_floats": [1.0, 2.0], "default_float": 9.0}
    model = mt.ONNX(file(tmp_path, "LabelEncoder", {"s": (STRING, shape)}, shape, domain="ai.onnx.ml", **coded))
    texts = Batch({"s": pa.array(["tea", None, "x"], pa.large_string())}, rows=3)
    names = Codes(np.array([0, -1], np.int32), Vocabulary(pa.array(["tea"], pa.large_string())))
    assert model.apply(NOTHING, texts).tolist() == [1, 2, 9]
    assert model.apply(NOTHING, Batch({"s": names}, rows=2)).tolist() == [1, 2]
    assert (model(s=Item.name).grain, model(s=Item.kind).grain) == (frozenset({Item}), frozenset({Item}))


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (INT, [1, np.nan, 2, np.inf, 2.0**63, -(2.0**63)], [1, np.nan, 2, np.nan, np.nan, -(2.0**63)]),
        (INT32, [1, np.nan, 2.0**31, 2.0**31 - 1, -np.inf], [1, np.nan, np.nan, 2.0**31, np.nan]),
        (INT, [1.0, 2.5, -0.5], [1, np.nan, np.nan]),
        (BOOL, [0, np.nan, 1, 2, 0.5], [0, np.nan, 1, np.nan, np.nan]),
        (FLOAT, [1, 1e39, -1e300, 0.5], [1, np.nan, np.nan, 0.5]),
        (INT, [np.nan, np.nan], [np.nan, np.nan]),
    ],
)
def test_a_row_that_the_input_cannot_hold_is_missing_and_counted(
    tmp_path: Path, kind: int, given: list[float], expected: list[float]
) -> None:
    notes: list[str] = []
    batch = Batch({"v": np.array(given)}, rows=len(given), note=notes.append)
    made = same(tmp_path, ["n"], kind).apply(NOTHING, batch)
    assert np.array_equal(made, expected, equal_nan=True)  # 2**31 - 1 as float32 is 2**31
    assert notes == ["ONNX('Cast.onnx') cannot hold a number that it is given"] * int(np.isnan(expected).sum())


def test_what_is_missing_is_no_number_to_a_float_and_nothing_to_note(tmp_path: Path) -> None:
    notes: list[str] = []
    made = same(tmp_path, ["n"]).apply(NOTHING, Batch({"v": np.array([1, np.nan])}, rows=2, note=notes.append))
    assert (np.array_equal(made, [1, np.nan], equal_nan=True), notes) == (True, [])


@pytest.mark.parametrize("vector", [False, True])
def test_what_the_file_makes_infinite_is_missing_and_counted(tmp_path: Path, vector: bool) -> None:
    notes: list[str] = []
    model = mt.ONNX(file(tmp_path, "Log", {"v": (FLOAT, ["n"])}, ["n"]), vector=vector)
    made = model.apply(NOTHING, Batch({"v": np.array([1.0, 0, 1])}, rows=3, note=notes.append))
    assert np.array_equal(made.ravel(), [0, 0 if vector else np.nan, 0], equal_nan=True)
    assert notes == ["ONNX('Log.onnx') gives a number that is not finite"]


def test_a_vector_of_what_the_input_cannot_hold_is_zeros(tmp_path: Path) -> None:
    rows = Batch({"v": np.array([[1, 2], [np.nan, 4], [5, np.inf]], np.float32)}, rows=3)
    made = same(tmp_path, ["n", 2], INT, vector=True).apply(NOTHING, rows)
    assert (made.tolist(), made.dtype) == ([[1, 2], [0, 0], [0, 0]], np.float32)


def test_a_changed_file_is_a_new_model(add: Path, tmp_path: Path) -> None:
    before = mt.ONNX(add)(a=Purchase.amount, b=Purchase.amount).fingerprint
    again = mt.ONNX(add)(a=Purchase.amount, b=Purchase.amount).fingerprint
    file(tmp_path, "Mul", {"a": (FLOAT, ["n"]), "b": (FLOAT, ["n"])}, ["n"]).replace(add)
    assert again == before
    assert mt.ONNX(add)(a=Purchase.amount, b=Purchase.amount).fingerprint != before


@pytest.mark.parametrize(
    ("build", "says", "help"),
    [
        (lambda add: mt.ONNX("nowhere.onnx"), "no file nowhere.onnx", 'ONNX("models/ranker.onnx")'),
        (lambda add: mt.ONNX(add, output="logit"), "no output 'logit'", "there are: out"),
        (
            lambda add: mt.ONNX(add)(a=Purchase.amount),
            "is not given its input 'b'; there are: a, b",
            "ONNX('Add.onnx')(a=..., b=...)",
        ),
        (
            lambda add: mt.ONNX(add)(a=Purchase.amount, bb=Purchase.amount),
            "has no input 'bb'; did you mean 'b'? there are: a, b",
            "ONNX('Add.onnx')(a=..., b=...)",
        ),
        (
            lambda add: mt.ONNX(add)(a=Purchase.amount, b=Purchase.search),
            "reads b as tensor(float) of shape [n], and Purchase.search is a Text",
            "give b= a Number or Flag",
        ),
        (lambda add: mt.ONNX(add)(a=Purchase.amount, b=Item.kind), "Item.kind is a Category", "Number or Flag"),
        (
            lambda add: mt.ONNX(add)(a=Purchase.amount, b=cast(Any, Item)),
            "Item is a record",
            "name a field: Item.item_id",
        ),
        (lambda add: mt.ONNX(add)(a=pair(add.parent), b=Item.price), "is a Vector", "give a= a Number or Flag"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_built(add: Path, build: Any, says: str, help: str) -> None:
    with pytest.raises(GraphError, match=re.escape(says)) as refused:
        build(add)
    assert help in refused.value.help


@pytest.mark.parametrize(
    ("shape", "kind", "given", "says", "help"),
    [
        (["n", 2], FLOAT, Item.price, "of shape [n, 2], and given is a Number", "give v= a Vector of 2 numbers"),
        (["n"], STRING, Item.price, "given is a Number", "give v= a Text or Category"),
        (["n", 2, "d"], FLOAT, Item.price, "of shape [n, 2, d], a shape that no column has", "mt.EmbedImage(file)"),
        (["n", 2], STRING, Item.name, "of shape [n, 2], a shape that no column has", "one text an input"),
        ([1, 2], FLOAT, Item.price, "[1, 2]: a row at a time", 'dynamic_axes={"v": {0: "n"}}'),
    ],
)
def test_a_shape_that_a_column_cannot_have_is_refused_when_the_graph_is_written(
    tmp_path: Path, shape: list[Any], kind: int, given: Any, says: str, help: str
) -> None:
    with pytest.raises(GraphError, match=re.escape(says)) as refused:
        same(tmp_path, shape, kind, vector=True)(v=given)
    assert help in refused.value.help


def test_names_that_are_none_in_python_are_shown_as_they_can_be_given(tmp_path: Path) -> None:
    model = mt.ONNX(file(tmp_path, "Neg", {"input.1": (FLOAT, ["n"])}, ["n"]))
    with pytest.raises(GraphError, match=re.escape("""help: ONNX('Neg.onnx')(**{"input.1": ...})""")):
        model(input_1=Item.price)
    assert model(**{"input.1": Item.price}).grain == frozenset({Item})
    model = mt.ONNX(file(tmp_path, "Add", {"in": (FLOAT, ["n"]), "class": (FLOAT, ["n"])}, ["n"]))
    with pytest.raises(GraphError, match=re.escape("""help: ONNX('Add.onnx')(**{"in": ..., "class": ...})""")):
        model(a=Item.price)


def test_several_numbers_a_row_are_no_number(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"gives out of shape \[n, 2\], and no Number a row\nhelp: .*vector=True"):
        same(tmp_path, ["n", 2])
    untold, rows = same(tmp_path, ["n", "d"]), Batch({"v": np.ones((3, 2), np.float32)}, rows=3)
    with pytest.raises(RunError, match=r"gives out of shape \[3, 2\] for 3 rows\nhelp: .*vector=True"):
        untold.apply(NOTHING, rows)
    with pytest.raises(GraphError, match=r"of shape \[1\] for 4 rows\nhelp: one row out for each row in"):
        mt.ONNX(file(tmp_path, "ReduceSum", {"v": (FLOAT, ["n"])}, [1]))


@pytest.mark.parametrize("kind", [FLOAT, INT])
@pytest.mark.parametrize("op", ["ReduceMean", "ReduceMax"])
def test_a_file_whose_rows_change_each_other_is_refused(tmp_path: Path, kind: int, op: str) -> None:
    given = helper.make_tensor_value_info("v", kind, ["n", "d"])
    made = helper.make_tensor_value_info("out", FLOAT, ["n", "d"])
    cast_, among = helper.make_node("Cast", ["v"], ["x"], to=FLOAT), helper.make_node(op, ["x"], ["m"], axes=[0])
    nodes = [cast_, among, helper.make_node("Sub", ["x", "m"], ["out"])]
    graph, path = helper.make_graph(nodes, "g", [given], [made]), tmp_path / "centred.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    with pytest.raises(
        GraphError, match=r"centred\.onnx gives a row something else alone than among others\nhelp: make"
    ):
        mt.ONNX(path, vector=True)


def test_a_file_that_cannot_read_what_is_made_up_is_tried_on_the_data(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = file(tmp_path, "MatMul", {"a": (FLOAT, ["n", "d"]), "b": (FLOAT, ["n", "e"])}, ["n", "e"])
    assert str(mt.ONNX(path)) == "ONNX('MatMul.onnx')"
    assert capfd.readouterr() == ("", "")


def test_an_output_that_is_no_tensor_of_numbers_is_refused(tmp_path: Path) -> None:
    given, made = (helper.make_tensor_value_info(name, STRING, ["n"]) for name in ("s", "t"))
    graph = helper.make_graph([helper.make_node("Identity", ["s"], ["t"])], "g", [given], [made])
    path = tmp_path / "texts.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    with pytest.raises(GraphError, match=r"'t' of .*texts\.onnx is tensor\(string\), and no tensor of numbers"):
        mt.ONNX(path)


def test_a_vector_of_another_width_is_told_in_one_sentence(tmp_path: Path) -> None:
    model = same(tmp_path, ["n", 3], vector=True)
    column: Any = model(v=pair(tmp_path))
    fitted = mt.Graph(made=column, amount=Purchase.amount).fit(shop(), store=tmp_path, quiet=True)
    with pytest.raises(RunError) as failed:
        fitted.context(shop()).shared(column)
    assert "ONNX('Cast.onnx') reads v of shape [n, 3], and is given 2 numbers a row" in str(failed.value)
    assert "give a Vector of 3 numbers" in str(failed.value)


def test_what_only_the_file_itself_refuses_names_what_it_was_given(tmp_path: Path) -> None:
    model = mt.ONNX(file(tmp_path, "MatMul", {"a": (FLOAT, ["n", "d"]), "b": (FLOAT, ["n", "e"])}, ["n", "e"]))
    with pytest.raises(
        RunError, match=r"fails on a \[2, 3\], b \[2, 3\]: (.|\n)*help: it reads a \[n, d\], b \[n, e\]"
    ):
        model.apply(NOTHING, Batch({"a": np.ones((2, 3)), "b": np.ones((2, 3))}, rows=2))


@pytest.mark.parametrize("held", [b"", b"no model at all", b"x" * (2 << 20)], ids=["empty", "junk", "large"])
@pytest.mark.parametrize("build", [mt.ONNX, mt.EmbedImage])
def test_a_file_that_is_no_model_is_refused_by_its_name(tmp_path: Path, build: Any, held: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(held)
    with pytest.raises(GraphError, match=r"broken\.onnx is no ONNX model that can run: .+\nhelp: export it again"):
        build(path)
