"""MovieLens with plots, as records: what the benchmarks over films share. It is no benchmark itself."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

import motet as mt


class Film(mt.Entity):
    film_id: mt.Key
    title: mt.Text
    genres: mt.Tags
    year: mt.Number
    plot: mt.Text


class Viewer(mt.Entity):
    viewer_id: mt.Key
    age: mt.Number
    gender: mt.Category


class Visit(mt.Event):
    viewer: Viewer
    at: mt.Time
    query: mt.Text = mt.default("")
    film: Film = mt.outcome()
    rating: mt.Number = mt.outcome()


class Facets(mt.Record):
    mood: mt.Category = mt.labels("funny", "romantic", "scary", "exciting", "sad", "thoughtful")


words = Film.title + ". " + Film.genres.text() + ". " + Film.plot
seen = mt.past(Visit.film, by=Visit.viewer)
recent = mt.past(Visit.film, by=Visit.viewer, last=50)


@dataclass(frozen=True)
class Arguments:
    data: Path
    json: bool


def arguments(what: str | None) -> Arguments:
    """--data DIR, the folder with all data sets, and --json."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds movielens-1m and others")
    parser.add_argument("--json", action="store_true", help="say the figures as one JSON object at the end")
    given = parser.parse_args()
    return Arguments(given.data, given.json)


def finish(figures: Mapping[str, Any], given: Arguments) -> None:
    """Says the figures, as JSON where it was asked for."""
    rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in figures.items()}
    print(json.dumps(rounded) if given.json else "\n".join(f"{k}: {v}" for k, v in rounded.items()))


def films_1m(data: Path) -> pl.DataFrame:
    """The 3,883 films of MovieLens-1M; plot null for 38."""
    films = pl.read_parquet(data / "movielens-1m" / "movies.parquet")
    return films.select(pl.col("movie_id").alias("film_id"), "title", "genres", "year", "plot")


def films_100k(data: Path) -> pl.DataFrame:
    """The 1,682 films of MovieLens-100K; plot null for 69."""
    films = pl.read_parquet(data / "movielens-100k" / "items.parquet")
    year = pl.col("release_year").alias("year")
    return films.select(pl.col("item_id").alias("film_id"), "title", "genres", year, "plot")


def viewers_1m(data: Path) -> pl.DataFrame:
    """The 6,040 viewers of MovieLens-1M; age is the least of its bracket."""
    return _viewers(data / "movielens-1m" / "users.parquet")


def viewers_100k(data: Path) -> pl.DataFrame:
    """The 943 viewers of MovieLens-100K."""
    return _viewers(data / "movielens-100k" / "users.parquet")


def _viewers(file: Path) -> pl.DataFrame:
    return pl.read_parquet(file).select(pl.col("user_id").alias("viewer_id"), "age", "gender")


def visits_1m(data: Path) -> pl.DataFrame:
    """The 999,611 ratings whose place in their viewer's history is known. at: that place, as seconds.

    Half of the timestamps are missing; this order is complete. `rated` is the timestamp where it is known.
    """
    ratings = pl.read_parquet(data / "movielens-1m" / "ratings.parquet")
    ordered = ratings.filter(pl.col("sasrec_order").is_not_null()).sort("user_id", "sasrec_order")
    return ordered.select(
        pl.col("user_id").alias("viewer"),
        pl.col("movie_id").alias("film"),
        pl.from_epoch(pl.col("sasrec_order").cast(pl.Int64), time_unit="s").alias("at"),
        pl.col("rating").cast(pl.Float64),
        pl.col("timestamp").alias("rated"),
    )


def visits_100k(data: Path) -> pl.DataFrame:
    """The 100,000 ratings of MovieLens-100K, oldest first, ties in the order of the source."""
    ratings = pl.read_parquet(data / "movielens-100k" / "ratings.parquet")
    visits = ratings.select(
        pl.col("user_id").alias("viewer"),
        pl.col("item_id").alias("film"),
        pl.from_epoch(pl.col("timestamp").cast(pl.Int64), time_unit="s").alias("at"),
        pl.col("rating").cast(pl.Float64),
    )
    return visits.sort("at", maintain_order=True)


def newest(films: pl.DataFrame, visits: pl.DataFrame) -> pl.DataFrame:
    """The newest tenth of the rated films: by year, and within a year by the first rating whose time is known."""
    first = visits.group_by("film").agg(pl.col("rated").min(), pl.len().alias("visits"))
    rated = films.join(first, left_on="film_id", right_on="film")
    order = rated.sort("year", "rated", "film_id", descending=True, nulls_last=True)
    return order.head(round(len(order) / 10))
