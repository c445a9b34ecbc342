from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from examples.films import download


def test_films_are_the_packages_rows_with_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTET_HOME", str(tmp_path))
    folder = download.films_folder()
    films, viewers, visits = (pl.read_parquet(folder / f"{name}.parquet") for name in ("films", "viewers", "visits"))

    assert (len(films), len(viewers), len(visits)) == (1_682, 943, 100_000)
    assert films.row(by_predicate=pl.col("film_id") == 127, named=True) == {
        "film_id": 127,
        "title": "The Godfather",
        "genres": ["Action", "Crime", "Drama"],
        "year": 1972,
    }
    assert films["year"].null_count() == 2, "one is unknown, one is V in the source"
    assert films["title"].null_count() == 0
    assert viewers.row(0) == (1, 24, "M", "technician")
    assert visits["at"].is_sorted()
    assert visits["at"].min() == datetime(1997, 9, 20, 3, 5, 10, tzinfo=UTC)
    assert visits["rating"].unique().sort().to_list() == [1, 2, 3, 4, 5]
    assert visits["film"].is_in(films["film_id"].to_list()).all()
    assert visits["viewer"].is_in(viewers["viewer_id"].to_list()).all()


def test_a_second_call_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MOTET_HOME", str(tmp_path))
    folder = download.films_folder()
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    capfd.readouterr()

    assert download.films_folder() == folder
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    assert capfd.readouterr() == ("", "")
    assert [each.name for each in folder.parent.iterdir()] == [folder.name], "nothing partial is left"


@pytest.mark.parametrize(
    ("catalogued", "said"),
    [
        ("Godfather, The", "The Godfather"),
        ("Horseman on the Roof, The (Hussard sur le toit, Le)", "The Horseman on the Roof (Le Hussard sur le toit)"),
        ("Star Maker, The (Uomo delle stelle, L')", "The Star Maker (L'Uomo delle stelle)"),
        ("Die xue shuang xiong (Killer, The)", "Die xue shuang xiong (The Killer)"),
        ("Cook the Thief His Wife & Her Lover, The", "The Cook the Thief His Wife & Her Lover"),
        ("Boys' Night, The", "The Boys' Night"),
        ("Paris, France", "Paris, France"),
        ("Crossing Guard, Those", "Crossing Guard, Those"),
    ],
)
def test_articles_stand_in_front(catalogued: str, said: str) -> None:
    assert download.spoken(catalogued) == said
