"""Whatever is wrong with data is said in one error, with rows or keys, what exists and what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from motet.batch import Vocabulary
from motet.column import Category, Flag, Key, Number, Tags, Text, Time, Vector
from motet.data import Data
from motet.errors import DataError, GraphError
from motet.record import Entity, Event, Record, default, labels, outcome
from motet.sources import read, sql
from motet.table import parse


class Film(Entity):
    film_id: Key
    title: Text


class Viewer(Entity):
    viewer_id: Key


class Visit(Event):
    viewer: Viewer
    at: Time
    film: Film = outcome()
    rating: Number = outcome()


class Facets(Record):
    mood: Category


FILMS = pa.table({"film_id": [1, 2], "title": ["Alien", "Brazil"]})
VISITS = pa.table({"viewer": [7, 7, 8], "at": [1, 2, 3], "film": [1, 2, 1], "rating": [4, 5, 3]})


def refused(sources: Any) -> str:
    with pytest.raises(DataError) as caught:
        Data(sources)
    return str(caught.value)


def changed(table: pa.Table, **columns: Any) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    return table


def field(kind: type, values: Any, spec: Any = None) -> str:
    """The error for these values read as a field of this kind."""

    class Thing(Entity):
        name: Key
        value: kind = spec  # type: ignore

    with pytest.raises(DataError) as caught:
        parse(Thing, pa.table({"name": list(range(len(values))), "value": pa.array(values)}), {})
    return str(caught.value)


def test_everything_wrong_is_said_at_once() -> None:
    films = changed(FILMS, film_id=[1, 1])
    visits = changed(VISITS, film=[1, 9, 9], rating=["4", "five", "inf"], at=["2001-01-01", None, "soon"])
    error = refused({Film: films, Visit: visits, Viewer: "viewers.parquet"})
    assert "7 things are wrong with the data" in error
    for said in (
        "Viewer: viewers.parquet does not exist",
        "Film.film_id: 1 key more than once: 1 (2 times)",
        "Visit.at: not a time in 1 row: row 2: 'soon'",
        "Visit.at: 1 event without a time: row 1",
        "Visit.film: 1 key of no Film, in 2 rows: 9",
        "Visit.rating: not a number in 1 row: row 1: 'five'",
        "Visit.rating: infinite in 1 row: row 2: 'inf'",
    ):
        assert said in error
    assert "help: " in error


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    error = refused({Film: FILMS.rename_columns(["film_id", "titel"]), Visit: VISITS})
    assert "Film.title: the Table has no column 'title'; did you mean 'titel'? there are: film_id, titel" in error
    assert 'mt.read(source, title="its name there")' in error


def test_a_renamed_column_that_is_not_there_is_named_too() -> None:
    error = refused({Film: read(FILMS, title="name"), Visit: VISITS})
    assert "no column 'name'; there are: film_id, title" in error


def test_renaming_a_field_that_is_not_declared_is_an_error() -> None:
    error = refused({Film: read(FILMS, titel="title"), Visit: VISITS})
    assert "Film has no field 'titel'" in error
    assert "did you mean 'title'?" in error


def test_at_most_five_rows_or_keys_are_shown_and_the_rest_counted() -> None:
    error = refused({Film: FILMS, Visit: changed(VISITS, film=[5, 6, 7])})
    assert "3 keys of no Film, in 3 rows: 5, 6, 7" in error
    many = pa.table({"viewer": [7] * 9, "at": [None] * 8 + [1], "film": list(range(101, 110)), "rating": ["x"] * 9})
    error = refused({Film: FILMS, Visit: many})
    assert "8 events without a time: rows 0, 1, 2, 3, 4 and 3 more" in error
    assert "9 keys of no Film, in 9 rows: 101, 102, 103, 104, 105 and 4 more" in error
    assert "row 4: 'x' and 4 more" in error


@pytest.mark.parametrize("at", [[1.0, float("nan"), 3.0], ["1", " ", "3"], [1, None, 3]])
def test_an_event_without_a_time_is_an_error_however_it_is_written(at: list[Any]) -> None:
    visits = VISITS.set_column(1, "at", pa.array(at, from_pandas=False))
    assert "Visit.at: 1 event without a time: row 1" in refused({Film: FILMS, Visit: visits})


@pytest.mark.parametrize("keys", [[1.0, float("nan")], ["1", ""], [1, None]])
def test_a_row_without_a_key_is_an_error_however_it_is_written(keys: list[Any]) -> None:
    films = FILMS.set_column(0, "film_id", pa.array(keys, from_pandas=False))
    error = refused({Film: films, Visit: changed(VISITS, film=[1, 1, 1])})
    assert "Film.film_id: 1 row without a key: row 1" in error


def test_keys_that_are_no_whole_numbers() -> None:
    assert "Film.film_id: not a whole number of 64 bits in 1 row: row 1: 2.5" in refused(
        {Film: changed(FILMS, film_id=[1.0, 2.5]), Visit: changed(VISITS, film=[1, 1, 1])}
    )
    huge = pa.array([1, 2**64 - 1], pa.uint64())
    error = refused({Film: FILMS.set_column(0, "film_id", huge), Visit: changed(VISITS, film=[1, 1, 1])})
    assert "row 1: 18446744073709551615" in error


def test_a_referred_entity_with_more_than_a_key_needs_a_source() -> None:
    error = refused({Visit: VISITS})
    assert "Film has no source, and only that can give its title" in error
    assert 'mt.Data({Film: "films.parquet", ...})' in error


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (Number, [True, False], "needs numbers and is bool: row 0: True"),
        (Number, [[1.0], [2.0]], "needs numbers"),
        (Number, ["1", "1,5", "2"], "not a number in 1 row: row 1: '1,5'"),
        (Number, [1.0, float("inf"), -float("inf")], "infinite in 2 rows: row 1: inf, row 2: -inf"),
        (
            Number,
            [3e38, 1e39, -1e300],
            "beyond 3.4e38, the largest number that models compute with, in 2 rows: row 1: 1e+39, row 2: -1e+300",
        ),
        (Text, [1, 2], "needs texts and is int64: row 0: 1"),
        (Text, [b"raw"], "needs texts and is binary"),
        (Flag, [0, 1, 2], "neither true nor false in 1 row: row 2: 2"),
        (Flag, ["true", "maybe"], "neither true nor false in 1 row: row 1: 'maybe'"),
        (Time, ["2001-02-03", "2001-02-30"], "not a time in 1 row: row 1: '2001-02-30'"),
        (Time, ["2001-02-03", "03.02.2001"], "not a time in 1 row: row 1: '03.02.2001'"),
        (
            Time,
            ["2001-02-03T04:056", "2001-02-03T0405", "2001"],
            "not a time in 2 rows: row 0: '2001-02-03T04:056'",
        ),
        (Time, [981173106000], "outside the years 1 to 9999 in 1 row: row 0: 981173106000"),
        (Time, [float("inf")], "outside the years 1 to 9999"),
        (Time, [True], "needs times and is bool"),
        (Category, [["a"]], "needs single names"),
        (Tags, [1, 2], "needs lists of names and is int64"),
        (Tags, [[["a"]]], "needs lists of names"),
        (Vector, ["0.1"], "needs lists of numbers"),
        (Vector, [[1.0, 2.0], [3.0], [4.0, 5.0]], "not 2 wide as the others are in 1 row: row 1: [3.0]"),
        (
            Vector,
            [[1.0, float("inf")], [1.0, 2.0], [1e39, 1.0]],
            "infinite or beyond 3.4e38, the largest number that models compute with, in 2 rows: row 0: [1.0, inf], "
            "row 2: [1e+39, 1.0]",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_shown_with_its_row(kind: type, values: list[Any], said: str) -> None:
    error = field(kind, values)
    assert f"Thing.value{'' if said.startswith('needs') else ':'} {said}" in error
    assert "\nhelp: " in error


def test_times_beyond_what_arrow_can_cast_are_rows_too() -> None:
    stamps = pa.array([0, 2**62], pa.timestamp("s"))

    class Entry(Entity):
        name: Key
        at: Time

    with pytest.raises(DataError, match="outside the years 1 to 9999 in 1 row"):
        parse(Entry, pa.table({"name": [1, 2], "at": stamps}), {})


def test_labels_outside_the_closed_set() -> None:
    error = field(Category, ["low", "top", None], labels("low", "high"))
    assert "Thing.value: 1 row (1) outside its labels: 'top'" in error
    assert "Thing.value is one of: low, high" in error
    assert "2 rows (0, 2) outside its labels: 'x', 'y'" in field(Tags, ["low|x", "high", "y|x"], labels("low", "high"))


def test_nan_is_missing_and_counted_and_no_error() -> None:
    visits = VISITS.set_column(3, "rating", pa.array([float("nan"), 4.0, None]))
    data = Data({Film: FILMS, Visit: visits})
    assert data.tables[Visit].missing["rating"] == 2
    assert "2 without rating" in data.summary()
    assert np.isnan(np.asarray(data.tables[Visit].columns["rating"])).tolist() == [True, False, True]


def test_a_default_that_no_entity_has_is_an_error() -> None:
    class Ask(Event):
        at: Time
        viewer: Viewer = default("nobody")

    with pytest.raises(DataError, match=r"the default of Ask\.viewer: 1 key of no Viewer"):
        parse(Ask, [{"at": 1}], {Viewer: Vocabulary(pa.array(["a"]))})


@pytest.mark.parametrize("rows", [[], pa.table({"film_id": [], "title": []}), pl.DataFrame({"film_id": []})])
def test_an_empty_table_is_an_error(rows: Any) -> None:
    assert "has no rows" in refused({Film: rows, Visit: VISITS})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "films.parquet").write_text("not parquet")
    (tmp_path / "films.csv").write_bytes(b"")
    (tmp_path / "bad.csv").write_bytes(b"film_id,title\n1,\xff\xfe\n")
    (tmp_path / "ragged.csv").write_text("film_id,title\n1,a,b,c\n")
    (tmp_path / "films.jsonl").write_text('{"film_id": 1, "title": "a"}\n{"film_id": 2,\n')
    (tmp_path / "list.jsonl").write_text('[1, "a"]\n')
    (tmp_path / "films.arrow").write_text("not arrow")
    (tmp_path / "header.csv").write_text("film_id,title\n")
    for name, said in {
        "films.parquet": "films.parquet cannot be read as parquet",
        "films.csv": "films.csv cannot be read as csv",
        "bad.csv": "bad.csv cannot be read as csv",
        "ragged.csv": "ragged.csv cannot be read as csv",
        "films.jsonl": "films.jsonl: row 1 is no JSON",
        "list.jsonl": "list.jsonl: row 0 is [1, 'a']",
        "films.arrow": "films.arrow cannot be read as arrow",
        "header.csv": "header.csv has no rows",
        "films.xlsx": "films.xlsx ends in '.xlsx'",
        "films": "films has no suffix",
        "film.parquet": "did you mean 'films.parquet'?",
        "none/films.parquet": "there is no folder",
    }.items():
        assert said in refused({Film: tmp_path / name, Visit: VISITS}), name


def test_databases_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE films (film_id, title)")
    database.commit()
    database.close()
    (tmp_path / "text.db").write_text("this is no database, however long its text goes on " * 100)
    url = f"sqlite:///{path}"
    assert "has no rows" in refused({Film: sql(url, "films"), Visit: VISITS})
    assert "no such table: film" in refused({Film: sql(url, "film"), Visit: VISITS})
    assert "tables: there are: films" in refused({Film: sql(url, "film"), Visit: VISITS})
    assert "no such column" in refused({Film: sql(url, "select names from films"), Visit: VISITS})
    assert "not a database" in refused({Film: sql(f"sqlite:///{tmp_path / 'text.db'}", "films"), Visit: VISITS})
    postgres = refused({Film: sql("postgresql://me:secret@host/db", "films"), Visit: VISITS})
    assert "postgresql databases cannot be read yet" in postgres
    assert "secret" not in postgres


def test_a_table_with_two_columns_of_one_name() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array(["a"]), pa.array(["b"])], ["film_id", "title", "title"])
    assert "the Table has two columns called 'title'" in refused({Film: table, Visit: changed(VISITS, film=[1, 1, 1])})


def test_what_rows_cannot_come_from() -> None:
    assert "rows cannot be read from the int" in refused({Film: 7, Visit: VISITS})
    assert "rows cannot be read from the dict" in refused({Film: {"film_id": [1]}, Visit: VISITS})
    assert "row 1 is 7" in refused({Film: [{"film_id": 1, "title": "a"}, 7], Visit: VISITS})
    assert "there are no sources" in refused({})
    with pytest.raises(GraphError, match="Facets is no Entity or Event"):
        Data({Facets: FILMS})


def test_text_that_is_no_unicode_is_kept_as_far_as_it_goes() -> None:
    data = Data({Film: [{"film_id": 1, "title": "a\ud800b"}], Visit: changed(VISITS, film=[1, 1, 1])})
    title: Any = data.tables[Film].columns["title"]
    assert title.to_pylist() == ["a?b"]


def asked(ask: Any) -> str:
    with pytest.raises(DataError) as caught:
        parse(Visit, ask, {Film: Vocabulary(pa.array([1, 2])), Viewer: Vocabulary(pa.array([7]))}, partial=True)
    return str(caught.value)


def test_an_ask_names_the_field_what_was_given_and_what_exists() -> None:
    assert "Visit has no field 'viever'\nhelp: Visit: did you mean 'viewer'?" in asked(
        {"viever": 7, "viewer": 7, "at": 1}
    )
    assert "Visit.viewer is not given" in asked({"at": 1})
    assert "Visit is asked with: viewer, at" in asked({"at": 1})
    assert "Visit.at: not a time: 'noon'" in asked({"viewer": 7, "at": "noon"})
    assert "Visit.at: not a time in 1 row: row 1: 'noon'" in asked(
        [{"viewer": 7, "at": 1}, {"viewer": 7, "at": "noon"}]
    )
    assert "Visit.at is empty\nhelp: a Time is" in asked({"viewer": 7, "at": None})
    help = "help: send a whole number, such as 7; one that is new has no past"
    wrong = f"Visit.viewer needs keys of Viewer (1 whole number), and is True\n{help}"
    assert asked({"viewer": True, "at": 1}) == wrong
    unknown = f"Visit.viewer: none of the keys of Viewer (1 whole number) in 1 row: row 1: 'me'\n{help}"
    assert asked([{"viewer": "8", "at": 1}, {"viewer": "me", "at": 1}]) == unknown
    assert "row 1 is 'x'" in asked([{"viewer": 7, "at": 1}, "x"])


def test_an_ask_is_told_what_to_send_and_not_how_to_declare_a_field_or_which_row_it_is() -> None:
    class Question(Event):
        at: Time
        text: Text = default("")
        score: Number = default(0.0)
        kind: Category = default("")
        mood: Category = labels("good", "bad")

    def asked(**given: Any) -> str:
        with pytest.raises(DataError) as caught:
            parse(Question, {"at": 1, "mood": "good", **given}, {}, partial=True)
        return str(caught.value)

    assert asked(text=5) == "Question.text needs texts and is 5\nhelp: send a text, in quotes"
    assert asked(score={}) == "Question.score needs numbers and is {}\nhelp: send one number"
    assert asked(kind=["a"]) == "Question.kind needs single names and is ['a']\nhelp: send one name"
    assert "Question.mood: outside its labels: 'odd'" in asked(mood="odd")


def test_splits_that_cannot_be() -> None:
    data = Data({Film: FILMS, Visit: VISITS})
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "split at a time, or by the last events"),
        ({"at": 1, "last": 1}, "split at a time, or by the last events"),
        ({"at": 1, "by": Visit.viewer}, "split at a time, or by the last events"),
        (
            {"at": 0},
            "the first part would have no events, split at 1970-01-01T00:00:00.000000, since a number is microseconds",
        ),
        ({"at": 1_700_004_200}, "the second part would have no events, split at 1970-01-01T00:28:20.004200, since a"),
        (
            {"at": "2001-01-01"},
            "3 events of Visit, from 1970-01-01T00:00:01.000000 to 1970-01-01T00:00:03.000000",
        ),
        ({"last": 3}, "the second part would have no events"),
        ({"last": 0}, "the last 0 events are none"),
        ({"at": "soon"}, "at: not a time in 1 row: row 0: 'soon'"),
        ({"at": 1.5}, "1.5 is no instant"),
    ]
    for arguments, said in cases:
        with pytest.raises(DataError) as caught:
            data.split(**arguments)
        assert said in str(caught.value)


def test_entities_that_cannot_be_held_out() -> None:
    data = Data({Film: FILMS, Visit: VISITS})
    with pytest.raises(DataError, match=r"Visit\.film: 1 key of nothing: 99"):
        data.hold_out(Visit.film, [1, 99])
    with pytest.raises(DataError, match="no keys to hold out"):
        data.hold_out(Visit.film, [])
    with pytest.raises(DataError, match="the first part would have no events"):
        data.hold_out(Visit.film, [1, 2])
    with pytest.raises(GraphError, match="is no reference"):
        data.hold_out(Film.title, [1])
