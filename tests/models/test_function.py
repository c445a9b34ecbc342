from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from motet.batch import Batch, Codes, Ragged
from motet.column import Category, Column, Flag, Key, Number, Sequence, Tags, Text, Time, Vector
from motet.errors import GraphError, RunError
from motet.model import NOTHING
from motet.models.function import Function, function
from motet.record import Entity
from tests.models.planted import texts


class Film(Entity):
    film_id: Key
    year: Number
    title: Text


STEP = 10


@function(Number)
def decade(year: Any) -> Any:
    return year // STEP * STEP


def result(kind: type[Column], made: Any, rows: int = 2) -> Any:
    return Function(lambda value: made, kind).apply(NOTHING, Batch({"arg0": np.zeros(rows)}, rows=rows))


def test_it_is_applied_to_whole_columns() -> None:
    column = decade(Film.year)
    assert isinstance(column, Number)
    assert column.grain == {Film}
    made = decade.apply(NOTHING, Batch({"arg0": np.array([1994.0, np.nan])}, rows=2))
    assert np.array_equal(made, [1990, np.nan], equal_nan=True)


def test_columns_come_in_order() -> None:
    minus = Function(lambda a, b: a - b, Number)
    assert minus.apply(NOTHING, Batch({"arg0": np.ones(1), "arg1": np.zeros(1)}, rows=1)).tolist() == [1]
    assert minus(Film.year, Film.year).node.label().startswith("<lambda>(")


@pytest.mark.parametrize(
    ("kind", "made", "expected"),
    [
        (Number, [1, None], [1.0, np.nan]),
        (Number, pa.array([1, None]), [1.0, np.nan]),
        (Number, np.array([np.inf, 2]), [np.nan, 2.0]),
        (Flag, np.array([True, False]), [1.0, 0.0]),
        (
            Time,
            np.array(["1970-01-01T00:00:01", "NaT"], "datetime64[s]"),
            [1_000_000, np.iinfo(np.int64).min],
        ),
        (Vector, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    ],
)
def test_numbers_of_any_form_become_the_kind(kind: type[Column], made: Any, expected: Any) -> None:
    assert np.array_equal(result(kind, made), np.array(expected), equal_nan=True)


def test_texts_categories_and_tags_of_any_form_become_the_kind() -> None:
    assert result(Text, ["a", None]).to_pylist() == ["a", None]
    category = result(Category, pa.array(["b", None]))
    assert isinstance(category, Codes)
    assert category.codes.tolist() == [0, -1]
    tags = result(Tags, [["x", "y"], None])
    assert isinstance(tags, Ragged)
    assert tags.windows.lengths.tolist() == [2, 0]
    assert tags.names is not None
    assert tags.names.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("kind", "made", "message"),
    [
        (Number, np.zeros(3), "gave 3 values for 2 rows"),
        (Number, "text", "makes a Number, and gave a str"),
        (Number, np.zeros((2, 2)), "2 dimensions"),
        (Number, None, "gave a NoneType"),
        (Number, np.array([1 + 2j, 0j]), "its numbers are complex"),
        (Number, [1, 1j], "its numbers are complex"),
        (Flag, np.array([1 + 0j, 0j]), "its numbers are complex"),
        (Vector, [[1j], [0]], "its numbers are complex"),
        (Flag, [0, 2], "a flag is 0, 1 or missing"),
        (Text, [1, 2], "makes a Text"),
        (Vector, [1, 2], "makes a Vector"),
        (Time, [0.5, 1], "makes a Time"),
    ],
)
def test_a_wrong_result_is_said_with_the_place(kind: type[Column], made: Any, message: str) -> None:
    with pytest.raises(RunError, match=rf"(?s)<lambda>.*{message}.*help: look at .*test_function\.py:"):
        result(kind, made)


def test_its_own_error_is_said_with_the_place() -> None:
    def broken(year: Any) -> Any:
        raise KeyError("year")

    with pytest.raises(RunError, match=r"(?s)broken failed: KeyError: 'year'.*test_function\.py:"):
        Function(broken, Number).apply(NOTHING, Batch({"arg0": np.zeros(1)}, rows=1))


def shifted(by: Any) -> Callable[[Any], Any]:
    return lambda year: year + by


def test_what_decides_the_values_is_in_the_identity() -> None:
    def identity(fn: Callable[..., Any], revision: int = 1) -> str:
        return Function(fn, Number, revision).identity()

    assert identity(shifted(1)) == identity(shifted(1))
    assert identity(shifted(1)) != identity(shifted(2)), "what it closes over"
    assert identity(shifted(np.ones(2))) != identity(shifted(np.zeros(2)))
    assert identity(shifted(np.array(["".join(("a", "b"))], object))) == identity(shifted(np.array(["ab"], object)))
    assert identity(shifted(np.float32(1))) != identity(shifted(np.float32(2)))
    assert identity(shifted(1)) != identity(shifted(1), revision=2)
    one, two = (lambda year: year + 1), (lambda year: year + 2)
    assert identity(one) != identity(two), "two on one line"
    assert Function(one, Number).identity() != Function(one, Flag).identity()


def doubling(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(fn)
    def wrapper(year: Any) -> Any:
        return fn(year) * 2

    return wrapper


def tripling(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(fn)
    def wrapper(year: Any) -> Any:
        return fn(year) * 3

    return wrapper


def scaling(by: int) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def of(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @wraps(fn)
        def wrapper(year: Any) -> Any:
            return fn(year) * by

        return wrapper

    return of


def test_a_decorator_what_it_wraps_and_what_it_closes_over_are_in_the_identity() -> None:
    def plain(year: Any) -> Any:
        return year

    def other(year: Any) -> Any:
        return year + 1

    ways = [plain, doubling(plain), tripling(plain), doubling(other), scaling(2)(plain), scaling(3)(plain)]
    ways += [doubling(lambda year: year), tripling(lambda year: year), doubling(doubling(plain))]
    assert len({Function(way, Number).identity() for way in ways}) == len(ways)
    assert Function(doubling(plain), Number).identity() == Function(doubling(plain), Number).identity()


def test_a_constant_or_helper_that_it_reads_is_in_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    before = decade.identity()
    monkeypatch.setitem(decade.fn.__globals__, "STEP", 100)
    assert decade.identity() != before


def test_code_without_source_has_an_identity() -> None:
    scope: dict[str, Any] = {}
    exec("def a(x): return x + 1\ndef b(x): return x + 2", scope)
    assert Function(scope["a"], Number).identity() != Function(scope["b"], Number).identity()
    assert Function(np.sqrt, Number).identity() != Function(np.exp, Number).identity()


def test_what_it_cannot_be_is_refused() -> None:
    with pytest.raises(GraphError, match="there are: Category, Flag"):
        function(Sequence)(lambda x: x)
    with pytest.raises(GraphError, match="no column"):
        decade()
    with pytest.raises(GraphError, match="is a record"):
        decade(Film)  # pyright: ignore


def test_a_text_is_given_as_arrow() -> None:
    shout = Function(lambda title: [t and t.upper() for t in title.to_pylist()], Text)
    made = shout.apply(NOTHING, Batch({"arg0": texts("a", None)}, rows=2))
    assert made.to_pylist() == ["A", None]
