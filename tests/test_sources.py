"""The same rows from every kind of source are the same table."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from motet.batch import Codes
from motet.column import Category, Flag, Key, Number, Tags, Text, Time, Vector
from motet.data import Data
from motet.errors import DataError
from motet.record import Entity, Event
from motet.rows.kinds import LARGEST
from motet.sources import read, sql
from motet.table import parse


class Item(Entity):
    name: Key
    text: Text
    price: Number
    new: Flag
    made: Time
    kind: Category
    tags: Tags


class Embedded(Entity):
    name: Key
    vector: Vector


ARROW = pa.schema(
    {
        "name": pa.string(),
        "text": pa.string(),
        "price": pa.float64(),
        "new": pa.bool_(),
        "made": pa.timestamp("us", "UTC"),
        "kind": pa.string(),
        "tags": pa.list_(pa.string()),
    }
)

# A CSV cannot tell an empty text from a missing one, and no text file keeps control characters and line ends.
WORD = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="|"), min_size=1, max_size=8)
ROW = st.fixed_dictionaries(
    {
        "text": st.none() | WORD | st.sampled_from(["NULL", "007", "1.50", 'say "a, b"', "true", "2001-02-03"]),
        "price": st.none() | st.floats(-LARGEST, LARGEST),
        "new": st.none() | st.booleans(),
        "made": st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
        "kind": st.none() | WORD,
        "tags": st.none() | st.lists(WORD, min_size=1, max_size=3),
    }
)
ROWS = st.dictionaries(WORD, ROW, min_size=1, max_size=8).map(
    lambda rows: [{"name": f"k{name}", **row} for name, row in rows.items()]
)

Rows = list[dict[str, Any]]


def written(rows: Rows, path: Path) -> list[dict[str, Any]]:
    """Rows as a text file has them: times in ISO, tags separated by `|`."""
    made = [None if row["made"] is None else row["made"].isoformat() for row in rows]
    tags = [None if row["tags"] is None else "|".join(row["tags"]) for row in rows]
    return [{**row, "made": m, "tags": t} for row, m, t in zip(rows, made, tags, strict=True)]


def as_parquet(rows: Rows, path: Path) -> Any:
    parquet.write_table(pa.Table.from_pylist(rows, ARROW), path / "items.parquet", row_group_size=3)
    return path / "items.parquet"


def as_parquet_folder(rows: Rows, path: Path) -> Any:
    folder = path / "folder.parquet"
    folder.mkdir(exist_ok=True)
    table = pa.Table.from_pylist(rows, ARROW)
    parquet.write_table(table.slice(0, 1), folder / "0.parquet")
    parquet.write_table(table.slice(1), folder / "1.parquet")
    return str(folder)


def as_feather(rows: Rows, path: Path) -> Any:
    feather.write_feather(pa.Table.from_pylist(rows, ARROW), str(path / "items.feather"))
    return path / "items.feather"


def as_stream(rows: Rows, path: Path) -> Any:
    table = pa.Table.from_pylist(rows, ARROW)
    with pa.OSFile(str(path / "items.arrow"), "wb") as file, pa.ipc.new_stream(file, ARROW) as stream:
        stream.write_table(table)
    return path / "items.arrow"


def as_csv(rows: Rows, path: Path) -> Any:
    frame = pl.DataFrame(written(rows, path), infer_schema_length=None)
    frame.write_csv(path / "items.csv")
    return path / "items.csv"


def as_json_lines(rows: Rows, path: Path) -> Any:
    lines = [json.dumps({**row, "tags": rows[i]["tags"]}) for i, row in enumerate(written(rows, path))]
    (path / "items.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path / "items.jsonl"


def as_database(rows: Rows, path: Path) -> Any:
    file = path / "items.db"
    file.unlink(missing_ok=True)
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE items (name, text, price, new, made, kind, tags)")
    fields = [tuple(row[name] for name in ARROW.names) for row in written(rows, path)]
    database.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)", fields)
    database.commit()
    database.close()
    return sql(f"sqlite:///{file}", "items")


def as_arrow(rows: Rows, path: Path) -> Any:
    table = pa.Table.from_pylist(rows, ARROW)
    return pa.concat_tables([table.slice(0, 1), table.slice(1)])


def as_polars(rows: Rows, path: Path) -> Any:
    return pl.from_arrow(pa.Table.from_pylist(rows, ARROW)).with_columns(pl.col("kind").cast(pl.Categorical))  # type: ignore


def as_lazy_polars(rows: Rows, path: Path) -> Any:
    return as_polars(rows, path).lazy()


def as_pandas(rows: Rows, path: Path) -> Any:
    return pa.Table.from_pylist(rows, ARROW).to_pandas().astype({"kind": "category"})


def as_pandas_of_objects(rows: Rows, path: Path) -> Any:
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in ARROW.names})


KINDS = [
    as_parquet,
    as_parquet_folder,
    as_feather,
    as_stream,
    as_csv,
    as_json_lines,
    as_database,
    as_arrow,
    as_polars,
    as_lazy_polars,
    as_pandas,
    as_pandas_of_objects,
]


@pytest.mark.parametrize("write", KINDS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_every_source_gives_the_table_that_its_rows_give(
    tmp_path: Path, write: Callable[[Rows, Path], Any], rows: Rows
) -> None:
    wanted, got = parse(Item, rows, {}), parse(Item, write(rows, tmp_path), {})
    assert {name: got.token(name) for name in Item.fields} == {name: wanted.token(name) for name in Item.fields}
    assert got.missing == wanted.missing
    assert len(got) == len(rows)


def test_columns_are_taken_by_the_names_that_they_have_in_the_source(tmp_path: Path) -> None:
    class Buyer(Entity):
        buyer_id: Key

    class Sale(Event):
        buyer: Buyer
        at: Time

    (tmp_path / "sales.csv").write_text("user,when,more\n7,5,x\n3,6,y\n")
    data = Data({Sale: read(tmp_path / "sales.csv", buyer="user", at="when")})
    buyer, at = data.tables[Sale].columns["buyer"], data.tables[Sale].columns["at"]
    assert isinstance(buyer, Codes)
    assert buyer.names.tolist() == [3, 7]
    assert np.asarray(at).tolist() == [5_000_000, 6_000_000]


def test_a_key_of_digits_in_a_csv_is_a_number_and_one_with_leading_zeros_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name\n7\n-10\n0\n")
    (tmp_path / "b.csv").write_text("name\n007\n10\n")

    class Card(Entity):
        name: Key

    assert np.asarray(parse(Card, tmp_path / "a.csv", {}).columns["name"]).tolist() == [7, -10, 0]
    assert np.asarray(parse(Card, tmp_path / "b.csv", {}).columns["name"]).tolist() == ["007", "10"]


def test_a_csv_keeps_line_ends_and_a_megabyte_in_one_text(tmp_path: Path) -> None:
    class Page(Entity):
        name: Key
        text: Text

    texts = ["two\nlines", "x" * 1_500_000, 'a "quoted" word']
    pl.DataFrame({"name": ["a", "b", "c"], "text": texts}).write_csv(tmp_path / "pages.csv")
    assert np.asarray(parse(Page, tmp_path / "pages.csv", {}).columns["text"]).tolist() == texts


def test_a_vector_comes_from_parquet_json_lines_and_frames(tmp_path: Path) -> None:
    rows = [
        {"name": 1, "vector": [0.5, -1.0]},
        {"name": 2, "vector": None},
        {"name": 3, "vector": [2.0, 4.0]},
    ]
    table = pa.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "v.parquet")
    (tmp_path / "v.ndjson").write_text("\n".join(json.dumps(row) for row in rows))
    frame = table.to_pandas()
    for source in (rows, table, tmp_path / "v.parquet", tmp_path / "v.ndjson", frame, pl.from_arrow(table)):
        made: Any = parse(Embedded, source, {}).columns["vector"]
        assert made.tolist() == [[0.5, -1.0], [0, 0], [2.0, 4.0]]


def test_a_query_renames_and_filters(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE things (id INTEGER, label TEXT)")
    database.executemany("INSERT INTO things VALUES (?, ?)", [(1, "one"), (2, "two")])
    database.commit()
    database.close()

    class Thing(Entity):
        thing_id: Key
        label: Category

    table = parse(Thing, sql(f"sqlite:///{path}", "SELECT id AS thing_id, label FROM things WHERE id > 1"), {})
    assert np.asarray(table.columns["thing_id"]).tolist() == [2]
    assert path.read_bytes()[:6] == b"SQLite"


def test_reading_a_database_does_not_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        parse(Item, sql(f"sqlite:///{tmp_path / 'none.db'}", "items"), {})
    assert list(tmp_path.iterdir()) == []


def test_json_lines_whose_values_differ_in_type_are_read_value_by_value(tmp_path: Path) -> None:
    class Thing(Entity):
        name: Key
        tags: Tags
        size: Number

    lines = ['{"name": "a", "tags": ["x", "y"], "size": 1}', '{"name": 7, "tags": "y|x", "size": "2.5"}']
    (tmp_path / "things.jsonl").write_text("\n".join(lines))
    columns: Any = parse(Thing, tmp_path / "things.jsonl", {}).columns
    assert columns["name"].to_pylist() == ["a", "7"]
    assert [columns["tags"].windows.row(i).tolist() for i in range(2)] == [[0, 1], [1, 0]]
    assert columns["size"].tolist() == [1.0, 2.5]
