"""Prepare again after a change, and after a kill: only what is new is computed, and nothing is lost.

4,000 films' texts (all of MovieLens-1M, the rest from ReDial) go through the embedder and 200 of them through a
language model that reads their mood. Then 1 % of the texts change, to another real text. Then other processes
prepare the same from nothing and are killed (SIGKILL) in the middle, each resumed by the next.

The times are of `prepare`: hashing the texts, computing what is new, keeping it, publishing. The records are
bound and the models loaded before, as they are in a process that serves.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from _films import Facets, arguments, films_1m, finish

import motet as mt
from motet.apply import Apply
from motet.column import Column
from motet.prepare import prepare
from motet.progress import Progress
from motet.run.context import Context
from motet.run.runner import Local
from motet.store import Store
from motet.store.cells import row_hashes

TEXTS, READ = 4_000, 200
KILLS = (0.2, 0.5, 0.96)  # a process is killed when so many of all rows are kept; the last reads moods


class Film(mt.Entity):
    film_id: mt.Key
    text: mt.Text


class Told(mt.Entity):  # the films that a language model reads
    film_id: mt.Key
    text: mt.Text


llm = mt.LLM("smollm2-135m")
meaning = mt.Embed("minilm-l6")(Film.text)
mood = mt.Extract(llm, Facets)(Told.text).mood
graph = mt.Graph(meaning=meaning, mood=mood)


def texts(data: Path) -> list[str]:
    films = films_1m(data).with_columns(pl.col("genres").list.join(", "))
    ours = films.select(pl.concat_str("title", "genres", "plot", separator=". ", ignore_nulls=True))
    others = pl.read_parquet(data / "redial-conversations" / "movies.parquet").drop_nulls("plot")
    more = others.select(pl.concat_str("name", "plot", separator=". "))
    found = [*ours.to_series().to_list(), *more.to_series().to_list()]
    return list(dict.fromkeys(found))[:TEXTS]


def changed(data: Path, before: Sequence[str]) -> list[str]:
    """1 % of them replaced by what another author says of the film; of those that are read too."""
    others = pl.read_parquet(data / "movielens-1m" / "movies_llm_text.parquet")["llm_text"].to_list()
    rows = np.random.default_rng(0).choice(np.arange(READ, len(others)), (len(before) - READ) // 100, replace=False)
    some = {*rows.tolist(), *range(READ // 100)}
    return [others[i] if i in some else text for i, text in enumerate(before)]


def bound(of: Sequence[str]) -> mt.Data:
    rows = [{"film_id": i, "text": text} for i, text in enumerate(of)]
    return mt.Data({Film: rows, Told: rows[:READ]})


def costly() -> list[Column]:
    return [c for c in graph.columns if isinstance(c.node, Apply) and c.node.model.costly]


def timed(fitted: mt.Fitted, data: mt.Data) -> tuple[float, int]:
    """Seconds of a prepare, and how many rows it computed."""
    started = time.perf_counter()
    done = fitted.prepare(data)
    return time.perf_counter() - started, done.new


def values(fitted: mt.Fitted) -> tuple[Any, list[Any]]:
    context = fitted.context(fitted.data)
    found = context.shared(mood)
    return np.asarray(context.shared(meaning)), found.names.names.take(found.codes).to_pylist()


def equal(one: tuple[Any, list[Any]], other: tuple[Any, list[Any]]) -> bool:
    """To the bit. Says what differs."""
    vectors = int((one[0] != other[0]).any(axis=1).sum())
    print(f"differ: {vectors} vectors, {sum(a != b for a, b in zip(one[1], other[1], strict=True))} moods")
    return bool(np.array_equal(one[0], other[0]) and one[1] == other[1])


def committed(folder: Path, data: mt.Data) -> int:
    """How many rows of all costly columns the store holds."""
    context = Context(data, Local(), Store(folder))
    known = 0
    for column in costly():
        made = context.made(column)
        text = context.shared(column.node.inputs[0])
        known += int(context.store.cells(made).known(row_hashes(made, [text])).sum())
    return known


def child(store: str, data: str) -> None:
    """Prepares in a process of its own, and says how many more rows are kept as soon as they are."""
    said: dict[Column, int] = {}

    def tick(column: Column, done: int, of: int) -> None:
        print(done - said.get(column, 0), flush=True)
        said[column] = done

    prepare(graph, Context(bound(texts(Path(data))), Local(), Store(store), tick=tick), Progress(quiet=True))


def run(store: Path, data: Path, until: int | None = None) -> int:
    """Runs a child to its end, or kills it once it has said that so many rows are kept; how many it said."""
    command = [sys.executable, __file__, "--child", str(store), str(data)]
    said = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout or ():
            said += int(line)
            if until is not None and said >= until:
                time.sleep(0.1)  # into the work on the next rows
                running.kill()
                break
        rest = running.stdout.read() if running.stdout else ""
    return said + sum(int(line) for line in rest.split("\n")[:-1])


def after_kills(store: Path, given: Path, data: mt.Data) -> dict[str, int]:
    """Rows that were done twice although they had been kept, and rows that were kept and are gone."""
    lost = kept = 0
    for share in KILLS:
        before = committed(store, data)
        said = run(store, given, until=round(share * (TEXTS + READ)) - before)
        kept = committed(store, data)
        lost += max(0, before + said - kept)
        print(f"killed after {before + said:,} rows were said to be kept; {kept:,} are", flush=True)
    computed = run(store, given)
    print(f"resumed: {computed:,} rows computed")
    return {"repeated_after_kill": computed - (TEXTS + READ - kept), "lost_after_kill": lost}


def main() -> None:
    given = arguments(__doc__)
    before = texts(given.data)
    first, then = bound(before), bound(changed(given.data, before))
    warm = bound(before[:1])
    with tempfile.TemporaryDirectory() as folder:
        stores = [Path(folder) / name for name in ("warm", "again", "anew", "killed")]
        graph.fit(warm, store=stores[0], quiet=True).prepare()
        again = graph.fit(first, store=stores[1], quiet=True)
        print(f"all of {TEXTS + READ:,} rows: {timed(again, first)[0]:.1f} s", flush=True)
        unchanged = values(again)
        seconds, rows = timed(again, then)
        anew = graph.fit(then, store=stores[2], quiet=True)
        whole, of = timed(anew, then)
        print(
            f"after 1 % changed: {rows} rows in {seconds:.2f} s; all of them anew: {of:,} in {whole:.1f} s", flush=True
        )
        figures = {
            "recomputed_share": rows / of,
            "wall_share": seconds / whole,
            "identical": equal(values(again), values(anew)),
            **after_kills(stores[3], given.data, first),
        }
        resumed = graph.fit(first, store=stores[3], quiet=True)
        figures["identical_after_kill"] = equal(values(resumed), unchanged)
    finish({**figures, "rows": of, "recomputed": rows, "seconds": seconds, "full_seconds": whole}, given)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
