"""Does a request see what training saw? Past events are replayed as asks, one by one, and compared with offline.

MovieLens-100K, the 200 films visited most, with plots (a language model reads all of their moods first). The graph
is fitted and published on all but the last 2,000 visits, and read back from its store. Then each of these arrives as
one ask without its outcome, every column that a request reads is compared with the value that a batch over the
tables gives for the same event, numbers to 1e-5, and the event is observed with its outcome.

TF-IDF is compared and ranks, but does not retrieve: between texts that share no word its score is rounding noise
around zero (1e-8), which another size of batch orders otherwise. bench/LOG.md has the figure.

Half of the visits ask for something: the title of the film that they came to. What a language model writes on the
request path is left out, since it is no function of the ask: sampled, and answered by a deadline.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from _films import (
    Facets,
    Film,
    Viewer,
    Visit,
    arguments,
    films_100k,
    finish,
    recent,
    seen,
    viewers_100k,
    visits_100k,
    words,
)
from _replay import compared, replay

import motet as mt

FILMS, EVENTS = 200, 2_000

llm, embed = mt.LLM("smollm2-135m"), mt.Embed("minilm-l6")
meaning = embed(words)
facets = mt.Extract(llm, Facets)(words)
ratings = mt.past(Visit.rating, by=Visit.viewer)
today = mt.past(Visit.rating, by=Visit.viewer, within="1d")

popular = mt.Popular()(Visit.film)
taste = mt.SASRec(dim=32, epochs=5)(recent, Film, content=meaning)
factors = mt.ALS(dim=16)(seen, Film)
asked = meaning @ embed(Visit.query)
named = mt.BM25()(words.lower(), Visit.query.lower())
told = mt.TFIDF(dim=32)
alike = told(words) @ told(Visit.query, learnt_from=words)
scorers = (taste, factors, asked, named)
found = mt.retrieve(Film, k=50, by=scorers, exclude=seen).otherwise(popular)
numbers = (seen.count(), seen.nunique(), seen.since(), ratings.mean(), ratings.max(), today.count(), today.sum())
person = (Visit.viewer.age, Visit.viewer.gender)
score = mt.LightGBM("lambdarank", trees=50)(
    found, *scorers, alike, popular, Film.year, Film.genres, facets.mood, *numbers, *person, target=Visit.rating >= 4
).otherwise(found)
likes = mt.Logistic()(*numbers, *person, target=Visit.rating >= 4)
eager = (today.count() >= 20) & (ratings.mean() >= 3.5)
top = score.top(10)
reply = mt.Write(llm, "Answer {query} using only {films}.")(query=Visit.query, films=score.top(3)).within(
    seconds=8, otherwise=""
)
graph = mt.Graph(top=top, reply=reply, likes=likes, eager=eager)


def events(data: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The films visited most, and all visits to them."""
    films, visits = films_100k(data), visits_100k(data)
    most = visits.group_by("film").len().sort("len", "film", descending=True).head(FILMS)["film"]
    films = films.filter(pl.col("film_id").is_in(most.implode()))
    titles = visits.join(films, left_on="film", right_on="film_id", maintain_order="left")
    queried = pl.when(pl.int_range(pl.len()) % 2 == 0).then("title").otherwise(pl.lit("")).alias("query")
    return films, titles.select("viewer", "at", queried, "film", "rating")


def main() -> None:
    given, started = arguments(__doc__), time.perf_counter()
    films, visits = events(given.data)
    data = mt.Data({Film: films, Viewer: viewers_100k(given.data), Visit: visits})
    train, test = data.split(at=visits["at"][-EVENTS])
    rows = test.asked[Visit][:EVENTS]
    asks: list[dict[str, Any]] = visits[rows].to_dicts()
    with tempfile.TemporaryDirectory() as store:
        fitted = graph.fit(train, store=store, quiet=True)
        offline = fitted.context(test)
        for column in compared(graph):  # before anything is published, so that what is read back is compared
            if not any(record.is_event for record in column.grain):
                offline.shared(column)
        print(f"fitted on {len(train.asked[Visit]):,} visits: {time.perf_counter() - started:.0f} s", flush=True)
        fitted.prepare()
        replayed = replay(mt.published(graph, store=store, quiet=True), offline, rows, asks)
    wrong = sum(replayed.mismatches.values())
    print(f"{replayed.columns} columns, {replayed.events:,} events, {wrong:,} values differ; left out: reply")
    for name, n in replayed.mismatches.items():
        print(f"  {name}: {n:,}")
    seconds = time.perf_counter() - started
    print(f"{seconds:.0f} s")
    finish({"columns": replayed.columns, "events": replayed.events, "mismatches": wrong}, given)


if __name__ == "__main__":
    main()
