"""Films that nobody has seen yet: does their text get them recommended, and does it cost the known ones?

MovieLens-1M with plots. The newest tenth of the films is held out of training altogether, and so are the last
three visits to known films of every viewer. Then every visit is asked as of its time: of new films among the new
ones and among all, of known films among all; films that the viewer has seen are left out.

Newest: by year of release, latest first; within a year by the first rating whose time is known. The first rating
alone does not say it: half of the times are missing, and most of the films first rated last are old and rare.

Three seeds each; the figures are means over requests and seeds, the intervals 95 % bootstraps over viewers and seeds.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from _films import Film, Viewer, Visit, arguments, films_1m, finish, newest, recent, seen, viewers_1m, visits_1m, words

import motet as mt
from motet.batch import Array, Codes, Ragged
from motet.metrics import intervals
from motet.metrics.ranking import ndcg, rank_of
from motet.run.context import Batched, Context
from motet.windows import Windows

SEEDS = (0, 1, 2)
VIEWERS = 1_000  # of 6,040, drawn at random: all would take hours
LAST = 3  # visits of each viewer to known films that are asked, the latest
ASKED = 6_000  # visits to new films, drawn at random
BLOCK = 1_000  # requests scored at a time

meaning = mt.Embed("minilm-l6")(words)
# Small steps, and no early stop: without content it rests for a while where it only knows what is popular.
sasrec = mt.SASRec(batch=8, epochs=25, patience=25)
GRAPHS = {
    "with": mt.Graph(taste=sasrec(recent, Film, content=meaning)),
    "without": mt.Graph(taste=sasrec(recent, Film)),
}
DIFFERENCES = {
    "over_content_only": ("with_content", "content_only"),
    "over_random": ("with_content", "random"),
    "warm_difference": ("warm_with", "warm_without"),
}
Scorer = Callable[[Batched], Array]  # float32 [requests, films]


@dataclass(frozen=True)
class Parts:
    """What is learnt from, and the two kinds of visits that are asked. new: rows of the new films."""

    train: mt.Data
    cold: mt.Data
    warm: mt.Data

    @cached_property
    def new(self) -> Array:
        return np.unique(codes(self.cold, "film")[self.cold.asked[Visit]])

    @cached_property
    def known(self) -> Array:
        return np.setdiff1d(np.arange(len(self.cold.tables[Film])), self.new)


def codes(data: mt.Data, reference: str) -> Array:
    column = data.tables[Visit].columns[reference]
    assert isinstance(column, Codes)
    return column.codes


def parts(films: pl.DataFrame, viewers: pl.DataFrame, visits: pl.DataFrame, new: pl.DataFrame) -> Parts:
    viewers = viewers.sample(VIEWERS, seed=0)
    some = visits.filter(pl.col("viewer").is_in(viewers["viewer_id"].implode())).drop("rated")
    ordered = films.filter(pl.col("film_id").is_in(visits["film"].implode()))
    data = mt.Data({Film: ordered, Viewer: viewers, Visit: some})
    present = new.filter(pl.col("film_id").is_in(some["film"].implode()))
    rest, cold = data.hold_out(Visit.film, present["film_id"].to_list())
    train, warm = rest.split(last=LAST, by=Visit.viewer)
    return Parts(train, cold, warm)


@dataclass(frozen=True)
class Asked:
    """Requests: what happened, whose they are, and what was seen before."""

    target: Array
    viewer: Array
    before: Windows


def asked(run: Batched) -> Asked:
    happened: Codes = run.field(Visit, "film")
    before: Ragged = run.value(seen)
    return Asked(happened.codes.astype(np.int64), run.field(Visit, "viewer").codes, before.windows.compact())


def among(scores: Array, request: Asked, films: Array) -> Array:
    """NDCG@10 of what happened among the given films, those seen before left out: [requests]."""
    place = np.full(scores.shape[1], -1)
    place[films] = np.arange(len(films))
    before = Windows(place[request.before.values], request.before.starts, request.before.ends)
    return ndcg(rank_of(scores[:, films], place[request.target], before), 10)


def by_content(run: Batched, vectors: Array) -> Array:
    """Cosine of every film with the mean of the last 50 seen: what content says without learning."""
    windows = run.value(recent).windows.compact()
    rows = np.repeat(np.arange(len(windows)), windows.ends - windows.starts)
    sums = np.zeros((len(windows), vectors.shape[1]), np.float32)
    np.add.at(sums, rows, vectors[windows.values])
    return sums @ vectors.T


def measured(context: Context, rows: Array, scorer: Scorer, films: Mapping[str, Array]) -> dict[str, Array]:
    """NDCG@10 per request, by which films are ranked."""
    found: dict[str, list[Array]] = {name: [] for name in films}
    for low in range(0, len(rows), BLOCK):
        run = context.batch(Visit, rows[low : low + BLOCK])
        scores, request = scorer(run), asked(run)
        for name, codes in films.items():
            found[name].append(among(scores, request, codes))
    return {name: np.concatenate(blocks) for name, blocks in found.items()}


def taste(graph: mt.Graph) -> Scorer:
    return lambda run: run.value(graph.output("taste")).dense(slice(0, None))


def chance(run: Batched) -> Array:
    rng = np.random.default_rng(len(run.field(Visit, "at")))
    return rng.random((run.rows(frozenset({Visit})), run.rows(frozenset({Film}))), np.float32)


@dataclass(frozen=True)
class Asking:
    """The requests that are asked: visits to new films and to known ones."""

    split: Parts
    cold: Array
    warm: Array

    @staticmethod
    def of(split: Parts) -> Asking:
        rows = split.cold.asked[Visit]
        drawn = np.random.default_rng(0).choice(rows, min(ASKED, len(rows)), replace=False)
        return Asking(split, np.sort(drawn), split.warm.asked[Visit])

    def viewers(self, figure: str) -> Array:
        data, rows = (self.split.warm, self.warm) if figure.startswith("warm") else (self.split.cold, self.cold)
        return codes(data, "viewer")[rows]

    def new_films(self, fitted: mt.Fitted, scorer: Scorer, name: str) -> dict[str, Array]:
        films = {name: self.split.new, f"{name}_among_all": np.arange(len(self.split.new) + len(self.split.known))}
        return measured(fitted.context(self.split.cold), self.cold, scorer, films)

    def known_films(self, fitted: mt.Fitted, scorer: Scorer, name: str) -> dict[str, Array]:
        return measured(fitted.context(self.split.warm), self.warm, scorer, {name: self.split.known})


def run_all(asking: Asking, store: str) -> dict[str, list[Array]]:
    """Every figure's NDCG@10 per request, once a seed."""
    found: dict[str, list[Array]] = {}

    def keep(values: dict[str, Array]) -> None:
        for name, each in values.items():
            found.setdefault(name, []).append(each)

    for seed in SEEDS:
        for name, graph in GRAPHS.items():
            started = time.perf_counter()
            fitted = graph.fit(asking.split.train, store=store, seed=seed, quiet=True)
            keep(asking.known_films(fitted, taste(graph), f"warm_{name}"))
            if name == "with":
                keep(asking.new_films(fitted, taste(graph), "with_content"))
            print(f"seed {seed}, {name} content: {time.perf_counter() - started:.0f} s", flush=True)
    fitted = GRAPHS["with"].fit(asking.split.train, store=store, seed=SEEDS[0], quiet=True)
    vectors = np.asarray(fitted.context(asking.split.cold).shared(meaning))
    keep(asking.new_films(fitted, lambda run: by_content(run, vectors), "content_only"))
    keep(asking.new_films(fitted, chance, "random"))
    return found


def summed_up(asking: Asking, runs: dict[str, list[Array]]) -> dict[str, float | None]:
    """The figures, and the differences between them that matter, each with its interval."""
    found = {name: intervals.over_seeds(each, asking.viewers(name)) for name, each in runs.items()}
    for name, (ours, theirs) in DIFFERENCES.items():
        pairs = zip(runs[ours], itertools.cycle(runs[theirs]), strict=False)  # what has no seed is one run
        found[name] = intervals.over_seeds([one - other for one, other in pairs], asking.viewers(ours))
    for name, estimate in found.items():
        each = ", ".join(f"{run.mean():.4f}" for run in runs.get(name, ()))
        print(f"  {name:24} {estimate} {each}")
    return {
        f"{name}{end}": value
        for name, e in found.items()
        for end, value in (("", e.value), ("_low", e.low), ("_high", e.high))
    }


def main() -> None:
    given, started = arguments(__doc__), time.perf_counter()
    films, visits = films_1m(given.data), visits_1m(given.data)
    split = parts(films, viewers_1m(given.data), visits, newest(films, visits))
    asking = Asking.of(split)
    learnt = len(split.train.asked[Visit])
    print(f"{VIEWERS:,} of 6,040 viewers; {learnt:,} visits to {len(split.known):,} known films are learnt from")
    print(f"asked: {len(asking.cold):,} visits to {len(split.new):,} new films, {len(asking.warm):,} to known ones")
    with tempfile.TemporaryDirectory() as store:
        runs = run_all(asking, store)
    print("NDCG@10, new films among the new ones where not said otherwise")
    figures = summed_up(asking, runs)
    print(f"{time.perf_counter() - started:.0f} s")
    finish(figures, given)


if __name__ == "__main__":
    main()
