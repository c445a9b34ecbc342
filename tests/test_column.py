"""What operators on columns mean, values missing included."""

import copy
import pickle
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import motet as mt
from motet.errors import FieldError
from motet.node import Node
from motet.run.context import Context
from motet.run.runner import Local
from motet.store import Store


class Thing(mt.Entity):
    thing_id: mt.Key
    x: mt.Number
    y: mt.Number
    yes: mt.Flag
    also: mt.Flag
    name: mt.Text
    note: mt.Text
    kind: mt.Category
    marks: mt.Tags
    left: mt.Vector
    right: mt.Vector


NAN = float("nan")


def values(column: mt.Column, rows: list[dict[str, Any]]) -> Any:
    empty = {
        "x": None,
        "y": None,
        "yes": None,
        "also": None,
        "name": None,
        "note": None,
        "kind": None,
        "marks": None,
        "left": [0.0],
        "right": [0.0],
    }
    data = mt.Data({Thing: [{"thing_id": i, **empty, **row} for i, row in enumerate(rows)]})
    found = Context(data, Local(), Store("unused")).batch().value(column)
    return found.to_pylist() if isinstance(found, pa.Array) else found.tolist()


def number(column: mt.Column, **row: Any) -> float:
    return values(column, [row])[0]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_arithmetic_is_that_of_numbers(x: float, y: float) -> None:
    row = {"x": x, "y": y}
    made = [Thing.x + Thing.y, Thing.x - Thing.y, Thing.x * Thing.y, Thing.x + 2, 2 - Thing.x, 3 * Thing.x]
    assert [number(c, **row) for c in made] == [x + y, x - y, x * y, x + 2, 2 - x, 3 * x]


def test_division_by_zero_is_missing() -> None:
    assert number(Thing.x / Thing.y, x=6.0, y=3.0) == 2
    assert np.isnan(number(Thing.x / Thing.y, x=6.0, y=0.0))
    assert np.isnan(number(1 / Thing.x, x=0.0))


def test_comparisons() -> None:
    made = [Thing.x >= 2, Thing.x <= 2, Thing.x > 2, Thing.x < 2, Thing.x.equals(2)]
    assert [number(c, x=2.0) for c in made] == [1, 1, 0, 0, 1]
    assert [number(c, x=1.0) for c in made] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    "column",
    [Thing.x + Thing.y, Thing.x + 1, 1 - Thing.x, Thing.x >= 1, Thing.x.equals(1), ~Thing.yes],
    ids=repr,
)
def test_missing_in_missing_out(column: mt.Column) -> None:
    assert np.isnan(number(column, y=1.0))


def test_conditions_combine() -> None:
    both, either = Thing.yes & Thing.also, Thing.yes | Thing.also
    rows = [{"yes": a, "also": b} for a in (True, False) for b in (True, False)]
    assert values(both, rows) == [1, 0, 0, 0]
    assert values(either, rows) == [1, 1, 1, 0]
    assert values(~both, rows) == [0, 1, 1, 1]


def test_texts_are_joined_and_a_missing_one_counts_as_empty() -> None:
    words = Thing.name + ": " + Thing.note
    rows = [{"name": "Übung", "note": "x"}, {"name": "a"}, {"note": "b"}, {}]
    assert values(words, rows) == ["Übung: x", "a: ", "b", None]  # a sum is made from left to right
    assert values("the " + Thing.name, [{"name": "end"}, {}]) == ["the end", None]
    assert values(Thing.name.lower(), [{"name": "ÀB"}, {}]) == ["àb", None]


def test_a_category_and_tags_can_be_asked_for_a_name() -> None:
    rows = [{"kind": "tea", "marks": ["hot", "old"]}, {"kind": "cup", "marks": []}]
    assert values(Thing.kind.equals("tea"), rows) == [1, 0]
    assert values(Thing.kind.equals("unheard of"), rows) == [0, 0]
    assert values(Thing.marks.has("old"), rows) == [1, 0]
    assert values(Thing.marks.has("unheard of"), rows) == [0, 0]


def test_categories_tags_and_numbers_read_as_text() -> None:
    rows = [{"kind": "tea", "marks": ["hot", "old"], "x": 1.5}, {"kind": "cup", "marks": ["new"], "x": 2.0}]
    assert values(Thing.kind.text(), rows) == ["tea", "cup"]
    assert values(Thing.marks.text(), rows) == ["hot, old", "new"]
    assert values(Thing.marks.text(" + "), rows) == ["hot + old", "new"]
    assert values(Thing.x.text(), rows) == ["1.5", "2"]
    assert values(Thing.x.text(), [{"x": 1234567.0}, {"x": 0.1 + 0.2}]) == ["1234567", "0.3"]


def test_a_missing_number_is_no_text() -> None:
    assert values("it costs " + Thing.x.text(), [{"x": 3.0}, {}]) == ["it costs 3", None]


def test_vectors_of_one_row_have_a_dot_product() -> None:
    rows = [{"left": [1.0, 2.0], "right": [3.0, 4.0]}, {"left": [0.0, 1.0], "right": [5.0, -1.0]}]
    assert values(Thing.left @ Thing.right, rows) == [11, -1]


def test_what_is_no_column_is_refused_in_words() -> None:
    with pytest.raises(mt.GraphError, match="reads columns, and got 'price'"):
        mt.Logistic()("price", target=Thing.yes)  # pyright: ignore[reportArgumentType]
    with pytest.raises(mt.GraphError, match="Thing is a record"):
        mt.Logistic()(Thing, target=Thing.yes)  # pyright: ignore[reportArgumentType]


def test_a_column_of_another_kind_than_a_model_reads_is_refused_where_it_is_given() -> None:
    with pytest.raises(mt.GraphError, match=r"reads text as Text, and .* is Number") as refused:
        mt.Embed("minilm-l6")(Thing.x)  # pyright: ignore[reportArgumentType]
    assert "mt.Text" in refused.value.help


ANY: Any = Thing


@pytest.mark.parametrize(
    ("build", "says", "help"),
    [
        (
            lambda: ANY.name.equals("tea"),
            "Thing.name is a Text and has no 'equals', which Category and Number have",
            "declare the field so: name: mt.Category",
        ),
        (lambda: ANY.name.within(seconds=3, otherwise=""), "no 'within'", "only what comes late"),
        (lambda: ANY.kind.has("tea"), "no 'has', which Tags has", '.equals("a name")'),
        (lambda: ANY.marks.equals("tea"), "Thing.marks is a Tags and has no 'equals'", '.has("a name")'),
        (lambda: ANY.x.top(3), "no 'top', which Candidates has", "mt.retrieve(Film, k=200, by=[...]).top(...)"),
        (lambda: ANY.x.count(), "no 'count', which Sequence has", "mt.past(Visit.film, by=Visit.viewer).count(...)"),
        (lambda: ANY.x.otherwse(3), "no 'otherwse'", "did you mean 'otherwise'? there are: equals, otherwise, text"),
    ],
)
def test_what_a_column_does_not_have_is_told_with_those_that_have_it(build: Any, says: str, help: str) -> None:
    with pytest.raises(FieldError, match=re.escape(says)) as refused:
        build()
    assert help in refused.value.help


def test_a_column_falls_back_on_a_column() -> None:
    with pytest.raises(mt.GraphError, match="falls back on a column or on None, and 'green' is neither") as refused:
        ANY.name.otherwise("green")
    assert "give another Text" in refused.value.help


def test_a_column_can_be_looked_at_copied_and_sent_like_any_object() -> None:
    assert not hasattr(Thing.x, "fields")
    assert not hasattr(Thing.x, "__array__")
    assert copy.deepcopy(Thing.x) == Thing.x
    assert type(pickle.loads(pickle.dumps(mt.Number.__new__(mt.Number)))) is mt.Number


def test_an_error_in_what_a_column_has_is_not_taken_for_something_that_it_has_not() -> None:
    class Broken(Node):
        def config(self) -> str:
            raise AttributeError("its own")

    with pytest.raises(AttributeError, match=r"^its own$"):
        _ = mt.Number(Broken()).fingerprint
