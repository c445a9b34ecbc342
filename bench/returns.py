"""What an embedder and a small language model return to a recommender of films: for known films, and for new ones.

    python bench/returns.py --data DIR [--json] [--facets N] [--store DIR] [--picture FILE]

MovieLens-1M with plots: 1,500 viewers, drawn at random from the 2,998 whose times are complete. What happened before
a day in November is learnt from; what happened later is asked, 15,000 visits of it drawn at random, each as of its
time, among all films that the viewer has not seen. The newest tenth of the films (as bench/cold.py orders them)
appear on that day: what viewers did with them before is left out, so that who asks for one of them asks cold.

Optional are the vectors that MiniLM makes of the films' texts, which SASRec reads as content, the mood that
SmolLM2-135M reads out of each text (nobody has checked those), which the ranker reads, and the ranker itself. The
graph is fitted once more without each and replayed on the same visits. It is worth 2 cents that a film which is
watched was among the ten, a processor core costs 4 cents an hour, and what is prepared lasts for a million requests.

--facets N: the language model reads only the N films that were seen most before that day; it takes a third of a second
a film. --store DIR: where states, vectors and moods are kept, so that an interrupted run goes on where it was.
--picture FILE: metric over cost (default: returns.png beside this script).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
from _films import films_1m, newest, viewers_1m, visits_1m

import motet as mt
from motet.metrics.intervals import Estimate
from motet.returns import Return, Returns, Slice, plots

WORTH, PRICES = mt.Worth(hit=0.02), mt.Prices(cpu_hour=0.04)
REQUESTS = 1_000_000  # that a fit and what is prepared last for
COMPLETE = 2_998  # viewers up to this one have all of their times
VIEWERS = 1_500
ASKED = 15_000
DAY = "2000-11-21"


class Film(mt.Entity):
    film_id: mt.Key
    text: mt.Text
    told: mt.Text  # the same, where the language model is to read it
    year: mt.Number


class Viewer(mt.Entity):
    viewer_id: mt.Key


class Visit(mt.Event):
    viewer: Viewer
    at: mt.Time
    drawn: mt.Flag
    film: Film = mt.outcome()
    rating: mt.Number = mt.outcome()


class Facets(mt.Record):
    mood: mt.Category = mt.labels("funny", "romantic", "scary", "exciting", "sad", "thoughtful")


meaning = mt.Embed("minilm-l6")(Film.text).otherwise(None)
facets = mt.Extract(mt.LLM("smollm2-135m"), Facets)(Film.told)
mood = facets.mood.otherwise(None)
seen = mt.past(Visit.film, by=Visit.viewer)
recent = mt.past(Visit.film, by=Visit.viewer, last=50)
popular = mt.Popular()(Visit.film)
taste = mt.SASRec(batch=16, epochs=25, patience=25)(recent, Film, content=meaning)  # small steps, as in bench/cold.py
found = mt.retrieve(Film, k=200, by=[taste], exclude=seen)
ranker = mt.LightGBM("lambdarank", requests=10_000)
score = ranker(found, taste, popular, Film.year, mood, seen.count(), target=Visit.rating >= 4).otherwise(found)
films = mt.Graph(top=score.top(10))


def data(folder: Path, read: int | None) -> mt.Data:
    """read: how many films the language model reads, None for all."""
    catalogue, everybody = films_1m(folder), visits_1m(folder)
    viewers = viewers_1m(folder).filter(pl.col("viewer_id") <= COMPLETE).sample(VIEWERS, seed=0).select("viewer_id")
    visits = some_visits(everybody, viewers["viewer_id"], newest(catalogue, everybody)["film_id"])
    before = visits.filter(~pl.col("later")).group_by("film").agg(pl.len().alias("visits"))
    films = catalogue.join(visits.select("film").unique(), left_on="film_id", right_on="film")
    films = films.join(before, left_on="film_id", right_on="film", how="left")
    films = films.sort("visits", "film_id", descending=[True, False], nulls_last=True).with_row_index("place")
    text = pl.concat_str("title", pl.col("genres").list.join(", "), "plot", separator=". ", ignore_nulls=True)
    told = pl.when(pl.col("place") < (len(films) if read is None else read)).then(text)
    return mt.Data({Film: films.select("film_id", "year", text=text, told=told), Viewer: viewers, Visit: visits})


def some_visits(visits: pl.DataFrame, viewers: pl.Series, new: pl.Series) -> pl.DataFrame:
    """Those of some viewers, those to new films only from the day on. later: from then on. drawn: is asked."""
    timed = visits.filter(pl.col("viewer").is_in(viewers.implode())).with_columns(at=pl.from_epoch("rated"))
    marked = timed.with_columns(later=pl.col("at") >= pl.lit(DAY).str.to_datetime())
    there = marked.filter(pl.col("later") | ~pl.col("film").is_in(new.implode()))
    place = pl.int_range(pl.len()).shuffle(seed=0).over("later")
    return there.with_columns(drawn=pl.col("later") & (place < ASKED)).drop("rated")


def rows(found: Returns) -> Iterator[dict[str, Any]]:
    """Every optional model on all requests, on those for known films and on those for new ones."""
    for row in found.rows:
        for part in (row, *row.slices):
            yield _figures(row, part)


def _figures(row: Return, part: Return | Slice) -> dict[str, Any]:
    decided = part.verdict
    assert decided is not None
    return {
        "model": row.strong,
        "slice": part.name if isinstance(part, Slice) else "all",
        "metric": f"{row.output} {row.metric}",
        "with": part.ours.value,
        "without": part.theirs.value,
        **_within("difference", part.difference),
        "usd_per_1000_prepared": row.cost.prepared,
        "usd_per_1000_live": row.cost.live,
        **_within("net", decided.net),
        "verdict": decided.word,
        "where": list(decided.where),
        "needed": decided.needed,
        "n": part.difference.n,
    }


def _within(name: str, figure: Estimate) -> dict[str, float | None]:
    return {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--facets", type=int, help="films that the language model reads; all without it")
    parser.add_argument("--store", type=Path, help="a folder that is kept, to go on after an interruption")
    parser.add_argument("--picture", type=Path, default=Path(__file__).with_suffix(".png"))
    given, started = parser.parse_args(), time.perf_counter()
    everything = data(given.data, given.facets)
    train, test = everything.split(at=DAY)
    with nullcontext(given.store) if given.store else tempfile.TemporaryDirectory() as store:
        fitted = films.fit(train, store=store)
        replayed = fitted.returns(test, WORTH, PRICES, relevant=Visit.drawn, requests=REQUESTS)
    cold = next(part.difference.n for part in replayed.rows[0].slices if part.name == "cold")
    learnt, later = len(train.asked[Visit]), len(test.asked[Visit])
    print(f"{learnt:,} visits learnt from; of {later:,} later ones {replayed.n:,} asked, {cold:,} of them cold")
    print(replayed)
    plots.frontier(replayed, given.picture)
    print(f"{time.perf_counter() - started:.0f} s")
    if given.json:
        print(json.dumps({"rows": list(rows(replayed)), "n": replayed.n, "cold": cold, "learnt": learnt}))


if __name__ == "__main__":
    main()
