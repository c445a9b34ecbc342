"""Peak memory of fitting the films graph on all of MovieLens-1M, in a process of its own: must stay under 4 GiB.

The graph is the example's with plots, less the language model (which runs its own 0.5 GB whatever the data): embedder,
SASRec with content, BM25, popularity, retrieval of 200 of 3,883 films, and a ranker on 20,000 replayed requests.
SASRec stops after two epochs here: an epoch's memory does not depend on how many follow.
"""

from __future__ import annotations

import tempfile
import time

from _films import Film, Viewer, Visit, arguments, films_1m, finish, recent, seen, viewers_1m, visits_1m, words

import motet as mt
from motet import memory

LIMIT_MB = 4096


def graph() -> mt.Graph:
    embed = mt.Embed("minilm-l6")
    meaning = embed(words)
    popular = mt.Popular()(Visit.film)
    taste = mt.SASRec(dim=64, epochs=2)(recent, Film, content=meaning)
    asked, named = meaning @ embed(Visit.query), mt.BM25()(words, Visit.query)
    found = mt.retrieve(Film, k=200, by=[taste, asked, named], exclude=seen).otherwise(popular)
    score = mt.LightGBM("lambdarank")(
        found, taste, popular, asked, named, Film.year, seen.count(), target=Visit.rating >= 4
    )
    return mt.Graph(top=score.otherwise(found).top(10))


def main() -> None:
    given = arguments(__doc__)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as store:
        folder = given.data
        everything = mt.Data({Film: films_1m(folder), Viewer: viewers_1m(folder), Visit: visits_1m(folder)})
        graph().fit(everything, store=store, quiet=given.json)
    peak = (memory.highest() or 0) / 2**20
    finish(
        {
            "events": len(everything.tables[Visit]),
            "peak_mb": round(peak),
            "limit_mb": LIMIT_MB,
            "seconds": round(time.perf_counter() - started),
        },
        given,
    )


if __name__ == "__main__":
    main()
