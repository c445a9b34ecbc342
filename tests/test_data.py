"""What rows become, and what the parts of a split see and ask."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.batch import NO_TIME, Codes, Ragged, Vocabulary
from motet.column import Category, Flag, Key, Number, Tags, Text, Time, Vector
from motet.data import Data
from motet.errors import DataError
from motet.record import Entity, Event, default, labels, outcome
from motet.sources import read
from motet.table import Table, parse


class Film(Entity):
    film_id: Key
    title: Text


class Viewer(Entity):
    viewer_id: Key


class Visit(Event):
    viewer: Viewer
    at: Time
    query: Text = default("")
    film: Film = outcome()
    rating: Number = outcome()


FILMS = [
    {"film_id": 10, "title": "Alien"},
    {"film_id": 20, "title": None},
    {"film_id": 30, "title": "千と千尋"},
]


def visits(*rows: tuple[Any, Any, Any]) -> list[dict[str, Any]]:
    return [{"viewer": viewer, "at": at, "film": film, "rating": 4} for viewer, at, film in rows]


def bound(*rows: tuple[Any, Any, Any]) -> Data:
    return Data({Film: FILMS, Visit: visits(*rows)})


def one(kind: type, values: Any, spec: Any = None) -> Any:
    """The column that the values become, read as a field of this kind."""

    class Thing(Entity):
        name: Key
        value: kind = spec  # type: ignore

    rows = pa.table({"name": list(range(len(values))), "value": values})
    return parse(Thing, rows, {}).columns["value"]


def time_of(value: Any) -> int:
    return int(one(Time, pa.array([value]))[0])


def test_references_are_rows_of_the_entity_that_they_name() -> None:
    data = bound(("b", 1, 30), ("a", 2, 10))
    film, viewer = data.tables[Visit].columns["film"], data.tables[Visit].columns["viewer"]
    assert isinstance(film, Codes)
    assert isinstance(viewer, Codes)
    assert film.codes.tolist() == [2, 0]
    assert film.names is data.tables[Film].keys
    assert viewer.codes.tolist() == [1, 0]


def test_an_entity_that_is_only_its_key_is_made_of_what_refers_to_it() -> None:
    data = bound(("b", 1, 30), ("a", 2, 10), ("b", 3, 10))
    keys = data.tables[Viewer].keys
    assert keys is not None
    assert keys.tolist() == ["a", "b"]
    assert len(data.tables[Viewer]) == 2


def test_keys_of_an_unbound_entity_are_texts_as_soon_as_some_are() -> None:
    class Search(Event):
        searcher: Viewer
        when: Time

    data = Data({Film: FILMS, Visit: visits((7, 1, 10)), Search: [{"searcher": "x", "when": 1}]})
    viewer, searcher = data.tables[Visit].columns["viewer"], data.tables[Search].columns["searcher"]
    assert isinstance(viewer, Codes)
    assert isinstance(searcher, Codes)
    assert viewer.names.tolist() == ["7", "x"]
    assert (viewer.codes.tolist(), searcher.codes.tolist()) == ([0], [1])


def test_an_entity_may_refer_to_an_entity() -> None:
    class Director(Entity):
        director_id: Key

    class Movie(Entity):
        movie_id: Key
        director: Director

    data = Data({Movie: [{"movie_id": 1, "director": "Varda"}, {"movie_id": 2, "director": None}]})
    director = data.tables[Movie].columns["director"]
    assert isinstance(director, Codes)
    assert director.names is data.tables[Director].keys
    assert director.codes.tolist() == [0, -1]


def test_a_reference_is_found_whether_its_key_is_written_as_text_or_number() -> None:
    data = bound(("b", 1, "30"), ("a", 2, "10"))
    film = data.tables[Visit].columns["film"]
    assert isinstance(film, Codes)
    assert film.codes.tolist() == [2, 0]


def test_a_reference_read_as_float_because_one_is_missing_is_found() -> None:
    data = Data(
        {
            Film: FILMS,
            Visit: pa.table({"viewer": ["a", "b"], "at": [1, 2], "film": [30.0, None], "rating": [1, 2]}),
        }
    )
    film = data.tables[Visit].columns["film"]
    assert isinstance(film, Codes)
    assert film.codes.tolist() == [2, -1]
    assert data.tables[Visit].missing["film"] == 1


def test_a_film_without_text_is_counted_and_not_empty() -> None:
    data = bound(("a", 1, 10))
    title: Any = data.tables[Film].columns["title"]
    assert title.to_pylist() == ["Alien", None, "千と千尋"]
    assert data.tables[Film].missing["title"] == 1
    assert "1 without title" in data.summary()


def test_rows_keep_the_order_of_the_source() -> None:
    at: Any = bound(("a", 9, 10), ("a", 3, 10), ("a", 5, 10)).tables[Visit].columns["at"]
    assert at.tolist() == [9_000_000, 3_000_000, 5_000_000]


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2001-02-03", "2001-02-03T00:00:00"),
        ("2001-02-03T04", "2001-02-03T04:00:00"),
        ("2001-02-03T04:05", "2001-02-03T04:05:00"),
        ("2001-02-03 04:05:06.5", "2001-02-03T04:05:06.5"),
        ("2001-02-03T04:05:06Z", "2001-02-03T04:05:06"),
        ("2001-02-03T04:05:06+02:00", "2001-02-03T02:05:06"),
        ("2001-02-03T04:05:06-0530", "2001-02-03T09:35:06"),
        ("2001-02-03 04:05:06 +02", "2001-02-03T02:05:06"),
        ("2001-02-03T04:05:06.123456789Z", "2001-02-03T04:05:06.123456"),
        ("981173106", "2001-02-03T04:05:06"),
        (981173106, "2001-02-03T04:05:06"),
        (981173106.25, "2001-02-03T04:05:06.25"),
        (datetime(2001, 2, 3, 4, 5, 6), "2001-02-03T04:05:06"),
        (datetime(2001, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))), "2001-02-03T02:05:06"),
        (datetime(2001, 2, 3).date(), "2001-02-03T00:00:00"),
        ("1666-09-02T00:00:00Z", "1666-09-02T00:00:00"),
    ],
)
def test_a_time_however_written_is_microseconds_utc(written: Any, instant: str) -> None:
    assert time_of(written) == np.datetime64(instant, "us").astype(np.int64)


def test_a_column_may_mix_every_way_of_writing_a_time() -> None:
    ways = [
        "2001-02-03T04:05:06Z",
        "2001-02-03 04:05:06",
        "2001-02-03T06:05:06+02",
        "981173106",
        "981173106.0",
    ]
    assert set(one(Time, pa.array(ways)).tolist()) == {981173106 * 10**6}


def test_arrow_times_of_every_unit_and_zone_are_microseconds_utc() -> None:
    seconds = 981173106
    for unit, scale in {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.items():
        for zone in (None, "Europe/Berlin", "UTC"):
            stamps = pa.array([seconds * scale, None], pa.timestamp(unit, zone))

            assert one(Time, stamps).tolist() == [seconds * 10**6, NO_TIME]


def test_asks_of_one_batch_do_not_have_to_be_written_alike() -> None:
    class Ask(Event):
        at: Time
        kind: Category
        tags: Tags
        number: Number
        viewer: Viewer

    asks = [
        {"at": 981173106.0, "kind": True, "tags": ["x", "y"], "number": 1, "viewer": 7},
        {"at": "2001-02-03T04:05:06Z", "kind": "true", "tags": "x|y", "number": "1", "viewer": "7"},
        {"at": datetime(2001, 2, 3, 4, 5, 6), "kind": 2.0, "tags": None, "number": None, "viewer": None},
    ]
    columns: Any = parse(Ask, asks, {Viewer: Vocabulary(pa.array([6, 7]))}, partial=True).columns
    assert columns["at"].tolist() == [981173106000000] * 3
    assert columns["kind"].names.names.take(pa.array(columns["kind"].codes)).to_pylist() == [
        "true",
        "true",
        "2",
    ]
    assert columns["tags"].windows.row(0).tolist() == columns["tags"].windows.row(1).tolist() == [0, 1]
    np.testing.assert_array_equal(columns["number"], [1, 1, np.nan])
    assert columns["viewer"].codes.tolist() == [1, 1, -1]


def test_numbers_come_from_integers_decimals_and_texts() -> None:
    assert one(Number, pa.array([1, 2**60])).tolist() == [1.0, 2.0**60]
    np.testing.assert_array_equal(one(Number, pa.array([" 1.5", "1e3", "", "NaN", "n/a"])), [1.5, 1e3, *[np.nan] * 3])
    np.testing.assert_array_equal(one(Number, pa.array([None, 2], pa.decimal128(5, 2))), [np.nan, 2])


def test_flags_come_from_booleans_numbers_and_words() -> None:
    np.testing.assert_array_equal(one(Flag, pa.array([True, False, None])), [1, 0, np.nan])
    np.testing.assert_array_equal(one(Flag, pa.array([1.0, 0.0, None])), [1, 0, np.nan])
    np.testing.assert_array_equal(one(Flag, pa.array(["True", "0", "false ", None, ""])), [1, 0, 0, np.nan, np.nan])


def test_categories_are_names_of_any_scalar_sorted() -> None:
    for values, names in [
        (["b", "a", None], ["a", "b"]),
        ([123456789.0, 1.0, None], ["1", "123456789"]),
        ([True, False, None], ["false", "true"]),
    ]:
        made = one(Category, pa.array(values))
        assert made.names.tolist() == names
        assert made.codes.tolist() == [1, 0, -1]


def test_declared_labels_are_the_vocabulary_in_their_order() -> None:
    made = one(Category, pa.array(["low", None, "low"]), spec=labels("high", "mid", "low"))
    assert made.names.tolist() == ["high", "mid", "low"]
    assert made.codes.tolist() == [2, -1, 2]


@pytest.mark.parametrize("values", [["b|a", "", None, " a |a"], [["b", "a"], [], None, [" a ", None, "a"]]])
def test_tags_come_from_lists_and_from_texts(values: Any) -> None:
    made = one(Tags, pa.array(values))
    assert isinstance(made, Ragged)
    assert made.names is not None
    assert made.names.tolist() == ["a", "b"]
    assert [made.windows.row(i).tolist() for i in range(4)] == [[1, 0], [], [], [0, 0]]


def test_vectors_come_from_lists_and_a_missing_one_is_zero() -> None:
    for kind in (pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.large_list(pa.int16())):
        made = one(Vector, pa.array([[1, 2], None, [3, 4]], kind))
        assert made.dtype == np.float32
        assert made.tolist() == [[1, 2], [0, 0], [3, 4]]


def test_a_vector_with_a_gap_is_a_missing_one() -> None:
    class Place(Entity):
        name: Key
        vector: Vector

    table = parse(Place, pa.table({"name": [1, 2], "vector": [[1.0, None], [3.0, 4.0]]}), {})
    assert np.asarray(table.columns["vector"]).tolist() == [[0, 0], [3, 4]]
    assert table.missing["vector"] == 1


def test_a_field_with_a_default_may_be_absent_or_empty() -> None:
    class Search(Event):
        at: Time
        words: Text = default("all")
        weight: Number = default(2.0)
        kind: Category = default("web")
        tags: Tags = default(["x", "y"])

    absent = parse(Search, [{"at": 1}, {"at": 2}], {})
    empty = parse(
        Search,
        [{"at": 1, "words": None, "weight": None, "kind": None, "tags": None}, {"at": 2, "words": ""}],
        {},
    )
    for table, words in ((absent, ["all", "all"]), (empty, ["all", ""])):
        columns: Any = table.columns
        assert columns["words"].to_pylist() == words
        assert columns["weight"].tolist() == [2.0, 2.0]
        assert columns["kind"].names.tolist()[columns["kind"].codes[0]] == "web"
        assert columns["tags"].windows.row(1).tolist() == [0, 1]
        assert set(table.missing.values()) == {0}


def test_the_default_of_a_reference_is_an_entity_even_where_no_row_names_it() -> None:
    class Call(Event):
        at: Time
        caller: Viewer = default("guest")

    data = Data({Call: [{"at": 1, "caller": "b"}, {"at": 2, "caller": None}]})
    caller = data.tables[Call].columns["caller"]
    assert isinstance(caller, Codes)
    assert caller.names.tolist() == ["b", "guest"]
    assert caller.codes.tolist() == [0, 1]


def test_a_megabyte_of_text_is_unchanged() -> None:
    plot = "🎬 Ein Film – " * 80_000
    assert len(plot.encode()) > 1_000_000
    assert one(Text, pa.array([plot, "b"])).to_pylist() == [plot, "b"]


def ask(data: Data, *rows: Any) -> Table:
    entities: Any = {record: table.keys for record, table in data.tables.items() if table.keys is not None}
    return parse(Visit, rows[0] if len(rows) == 1 else list(rows), entities, partial=True)


def test_an_ask_is_the_event_without_its_outcomes() -> None:
    data = bound(("a", 1, 10), ("b", 2, 20))
    columns: Any = ask(data, {"viewer": "b", "at": "2001-01-01"}, {"viewer": "new", "at": 7, "query": "sea"}).columns
    assert columns["viewer"].codes.tolist() == [1, -1]
    assert columns["viewer"].names is data.tables[Viewer].keys
    assert columns["query"].to_pylist() == ["", "sea"]
    assert columns["film"].codes.tolist() == [-1, -1]
    assert np.isnan(columns["rating"]).all()


def test_an_ask_may_be_one_dict_and_may_say_its_outcome() -> None:
    table = ask(bound(("a", 1, 10), ("b", 2, 20)), {"viewer": "a", "at": 3, "film": 30, "rating": 5})
    columns: Any = table.columns
    assert len(table) == 1
    assert columns["film"].codes.tolist() == [2]
    assert columns["rating"].tolist() == [5.0]


def test_a_token_is_of_what_is_in_a_field_alone() -> None:
    first, again = bound(("a", 1, 10), ("b", 2, 20)), bound(("a", 1, 10), ("b", 2, 20))
    other = bound(("a", 1, 10), ("b", 3, 20))
    for field in Visit.fields:
        assert first.token(Visit, field) == again.token(Visit, field)
    assert [f for f in Visit.fields if first.token(Visit, f) != other.token(Visit, f)] == ["at"]


def test_the_token_of_a_text_sees_nulls_and_where_each_text_ends() -> None:
    made = {tuple(v): parse(Film, pa.table({"film_id": [1, 2], "title": v}), {}).token("title") for v in TITLES}
    assert len(set(made.values())) == len(TITLES)
    slices = pa.table({"film_id": [0, 1, 2], "title": ["x", "ab", "c"]}).slice(1)
    assert parse(Film, slices, {}).token("title") == made["ab", "c"]


TITLES = [["ab", "c"], ["a", "bc"], ["", "abc"], pa.array([None, "abc"]).to_pylist(), ["abc", ""]]


def test_a_split_in_time_asks_what_came_after_and_sees_everything() -> None:
    data = bound(("a", 1, 10), ("b", 5, 10), ("a", 3, 20), ("b", 4, 20))
    train, test = data.split(at=4_000_000)
    assert train.seen[Visit].tolist() == train.asked[Visit].tolist() == [0, 2]
    assert train.until == 4_000_000
    assert test.asked[Visit].tolist() == [1, 3]
    assert test.seen[Visit].tolist() == [0, 1, 2, 3]
    assert test.until is None
    assert data.seen[Visit].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "at", ["1970-01-01T00:00:04", "1970-01-01T02:00:04+02:00", datetime(1970, 1, 1, 0, 0, 4), 4_000_000]
)
def test_an_instant_is_a_text_a_datetime_or_microseconds(at: Any) -> None:
    train, _ = bound(("a", 1, 10), ("b", 5, 10), ("b", 4, 20)).split(at=at)
    assert train.until == 4_000_000


def test_leave_one_out_asks_the_last_event_of_each_viewer() -> None:
    data = bound(("a", 1, 10), ("a", 3, 20), ("b", 9, 10), ("a", 3, 30), ("a", 2, 10))
    train, test = data.split(last=1, by=Visit.viewer)
    assert test.asked[Visit].tolist() == [3]  # of equal times the later row; b has no other event
    assert train.seen[Visit].tolist() == train.asked[Visit].tolist() == [0, 1, 2, 4]
    assert test.seen[Visit].tolist() == [0, 1, 2, 3, 4]


def test_leave_one_out_again_gives_a_validation_part_that_sees_no_test_event() -> None:
    data = bound(*(("a", t, 10) for t in range(5)), *(("b", t, 20) for t in range(2)))
    rest, test = data.split(last=1)
    train, valid = rest.split(last=1)
    assert test.asked[Visit].tolist() == [4, 6]
    assert valid.asked[Visit].tolist() == [3]
    assert valid.seen[Visit].tolist() == rest.seen[Visit].tolist()
    assert train.seen[Visit].tolist() == [0, 1, 2, 5]


def test_an_event_of_nobody_stays_in_train() -> None:
    rows = visits(("a", 1, 10), ("a", 2, 10), (None, 3, 10), (None, 4, 10))
    train, test = Data({Film: FILMS, Visit: rows}).split(last=1)
    assert test.asked[Visit].tolist() == [1]
    assert train.asked[Visit].tolist() == [0, 2, 3]


def test_held_out_films_are_asked_and_otherwise_unseen() -> None:
    train, cold = bound(("a", 1, 10), ("b", 5, 30), ("a", 3, 20), ("b", 4, 30)).hold_out(Visit.film, np.array([30, 20]))
    assert train.seen[Visit].tolist() == train.asked[Visit].tolist() == [0]
    assert cold.asked[Visit].tolist() == [1, 2, 3]
    assert cold.seen[Visit].tolist() == [0, 1, 2, 3]


def test_what_is_seen_asked_and_known_is_in_the_token_of_the_rows() -> None:
    data = bound(("a", 1, 10), ("a", 5, 30), ("a", 3, 20))
    parts = [data, *data.split(at=4_000_000), *data.split(at=4_500_000), *data.split(last=1)]
    tokens = [part.rows_token(Visit) for part in parts]
    # Both time splits and the last event ask and see the same afterwards; before, `until` differs.
    assert tokens[2] == tokens[4] == tokens[6]
    assert len({*tokens}) == 5


def test_kept_tables_make_the_same_data() -> None:
    train, _ = bound(("a", 1, 10), ("a", 5, 30)).split(at=2_000_000)
    kept = Data.of(train.tables, train.seen, train.until)
    assert kept.rows_token(Visit) == train.rows_token(Visit)


TIMES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=2, max_size=30)


@given(TIMES, st.integers(1, 9))
def test_the_sides_of_a_split_in_time_are_disjoint_cover_and_are_ordered(rows: list[tuple[str, int]], at: int) -> None:
    data = bound(*((viewer, time, 10) for viewer, time in rows))
    times: Any = data.tables[Visit].columns["at"]
    early = times < at * 1_000_000
    if early.all() or not early.any():
        with pytest.raises(DataError, match="would have no events"):
            data.split(at=at * 1_000_000)
        return
    train, test = data.split(at=at * 1_000_000)
    assert sorted([*train.asked[Visit], *test.asked[Visit]]) == list(range(len(rows)))
    assert times[train.seen[Visit]].max() < times[test.asked[Visit]].min()


@given(TIMES, st.integers(1, 3))
def test_leave_last_out_is_disjoint_covers_and_is_last_within_each_viewer(
    rows: list[tuple[str, int]], last: int
) -> None:
    data = bound(*((viewer, time, 10) for viewer, time in rows))
    counts = {viewer: sum(v == viewer for v, _ in rows) for viewer, _ in rows}
    if max(counts.values()) <= last:
        with pytest.raises(DataError, match="would have no events"):
            data.split(last=last)
        return
    train, test = data.split(last=last)
    assert sorted([*train.seen[Visit], *test.asked[Visit]]) == list(range(len(rows)))
    for viewer, n in counts.items():
        asked = [(rows[i][1], i) for i in test.asked[Visit] if rows[i][0] == viewer]
        kept = [(rows[i][1], i) for i in train.seen[Visit] if rows[i][0] == viewer]
        assert len(asked) == (last if n > last else 0)
        assert not asked or max(kept) < min(asked)


def test_every_event_is_split_in_time_and_one_of_them_by_its_last() -> None:
    class Search(Event):
        searcher: Viewer
        when: Time

    searches = read([{"who": "a", "when": 1}, {"who": "c", "when": 9}], searcher="who")
    data = Data({Film: FILMS, Visit: visits(("a", 1, 10), ("a", 5, 10)), Search: searches})
    train, test = data.split(at=2_000_000)
    assert (train.asked[Search].tolist(), test.asked[Search].tolist()) == ([0], [1])
    train, test = data.split(last=1, by=Visit.viewer)
    assert (train.seen[Search].tolist(), test.seen[Search].tolist()) == ([0, 1], [0, 1])
    assert (train.asked[Search].tolist(), test.asked[Search].tolist()) == ([0, 1], [])
    with pytest.raises(DataError, match=r"Search\.searcher, Visit\.viewer"):
        data.split(last=1)
