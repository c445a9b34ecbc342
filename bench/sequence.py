"""SASRec on MovieLens, leave-one-out, full ranking: how good, and how fast beside a tight hand-written loop.

    OMP_WAIT_POLICY=PASSIVE python bench/sequence.py --data DIR [--json] [--sets ml-100k,ml-1m] [--seeds 3]

DIR holds movielens-100k/ and movielens-1m/. Per viewer the last event is the test, the one before picks the
epoch, the rest trains; all films are ranked, less those seen before, ties against the model. Events of one
second keep the file's order (100K) or that of the first published SASRec file (1M).
Speed: epochs of Motet's trainer and of the tight loop (bench/_tight.py) by turns, on the same histories cut
to their last 50 items; both predict at every position, so the unit is next items learnt from a second. Medians.
On all cores, and on one thread. On a busy machine the tight loop's threads wait for each other at every operation:
without the passive wait policy the ratio is then flattered (13 was seen), so do not quote it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch starts its threads

import numpy as np
import polars as pl
import torch
from _tight import Tight

from motet import memory
from motet.candidates import retrieve
from motet.column import Key, Time
from motet.data import Data
from motet.graph import Graph
from motet.models.behavior.sasrec import SASRec
from motet.models.behavior.sequence_batches import Histories
from motet.models.behavior.sequence_config import Config
from motet.models.behavior.sequence_trainer import Net, Trainer
from motet.past import past
from motet.record import Entity, Event, outcome

PUBLISHED_1M = {"SASRec as first published": 0.126, "gSASRec": 0.173, "RecTools softmax": 0.178}
ALL = 10**9
BATCH_1M = 32  # pieces a step: on this set more, smaller steps learn more in the same time


class Film(Entity):
    film_id: Key


class Viewer(Entity):
    viewer_id: Key


class Visit(Event):
    viewer: Viewer
    at: Time
    film: Film = outcome()


def graph(model: SASRec) -> Graph:
    seen = past(Visit.film, by=Visit.viewer)
    taste = model(past(Visit.film, by=Visit.viewer, last=model.length), Film)
    return Graph(top=retrieve(Film, k=100, by=[taste], exclude=seen))


def events(folder: Path, name: str) -> pl.DataFrame:
    """viewer, at, film; `at` counts a viewer's events, since several can share a second."""
    if name == "ml-100k":
        rated = pl.read_parquet(folder / "movielens-100k" / "ratings.parquet").with_row_index("n")
        rated, film = rated.sort("user_id", "timestamp", "n"), "item_id"
    else:
        rated = pl.read_parquet(folder / "movielens-1m" / "ratings.parquet")
        rated, film = rated.drop_nulls("sasrec_order").sort("user_id", "sasrec_order"), "movie_id"
    at = pl.int_range(pl.len()).over("user_id").cast(pl.Int64) * 1_000_000
    return rated.select(viewer="user_id", at=at.cast(pl.Datetime("us", "UTC")), film=film)


def quality(rows: pl.DataFrame, model: SASRec, seed: int) -> dict[str, Any]:
    data = Data({Visit: rows})
    train, test = data.split(last=1, by=Visit.viewer)
    with tempfile.TemporaryDirectory() as store:
        began, cpu = time.perf_counter(), time.process_time()
        fitted = graph(model).fit(train, store=store, seed=seed)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        found = fitted.evaluate(test)
    return {
        "seed": seed,
        "ndcg_at_10": found.figure("top", "NDCG@10").value,
        "hr_at_10": found.figure("top", "hit rate@10").value,
        "users": found.n,
        "fit_seconds": round(wall, 1),
        "fit_cpu_seconds": round(cpu, 1),
    }


def timed(epoch: Callable[[], int]) -> tuple[float, float]:
    """Next items learnt from a second, of the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    learnt = epoch()
    return learnt / (time.perf_counter() - wall), learnt / (time.process_time() - cpu)


def speed(rows: pl.DataFrame, length: int, rounds: int) -> dict[str, float]:
    codes = np.unique(rows["film"].to_numpy(), return_inverse=True)
    values, items = codes[1].astype(np.int32), len(codes[0])
    sizes = rows.group_by("viewer", maintain_order=True).len()["len"].to_numpy()
    offsets = np.append(0, np.cumsum(sizes)).astype(np.int64)
    whole = Histories(values, offsets[:-1], offsets[1:] - 2).last(length + 1)
    tight = Tight([values[a:b] for a, b in zip(whole.starts, whole.ends, strict=True)], items, length)
    config = Config(length=length, batch=128, rate=1e-3)
    net = Net(config, torch.zeros(items, config.dim))
    ours = Trainer(whole, net, config, seed=0)
    taken = [(timed(tight.epoch), timed(lambda: ours.epoch()[1])) for _ in range(rounds + 1)][1:]
    (tight_wall, tight_cpu), (wall, cpu) = np.median(np.array(taken), axis=0).tolist()
    return {
        "items_per_second": round(wall),
        "items_per_cpu_second": round(cpu),
        "tight_items_per_second": round(tight_wall),
        "tight_items_per_cpu_second": round(tight_cpu),
        "speed_ratio": round(wall / tight_wall, 3),
        "speed_ratio_cpu": round(cpu / tight_cpu, 3),
    }


def means(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {name: round(float(np.mean([r[name] for r in runs])), 4) for name in ("ndcg_at_10", "hr_at_10")}


def ml_100k(folder: Path, seeds: int) -> dict[str, Any]:
    rows = events(folder, "ml-100k")
    pace = speed(rows, 50, rounds=9)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pace["speed_ratio_one_thread"] = speed(rows, 50, rounds=5)["speed_ratio_cpu"]
    torch.set_num_threads(before)
    print(json.dumps(pace), flush=True)
    runs: list[dict[str, Any]] = []
    for seed in range(seeds):
        runs.append(quality(rows, SASRec(batch=128, epochs=60, held=ALL), seed))
        print(json.dumps(runs[-1]), flush=True)
    return {**(means(runs) if runs else {}), **pace, "runs": runs}


def ml_1m(folder: Path, epochs: int) -> dict[str, Any]:
    rows = events(folder, "ml-1m")
    run = quality(rows, SASRec(length=200, batch=BATCH_1M, epochs=epochs), 0)
    print(json.dumps({**run, "published_ndcg_at_10": PUBLISHED_1M}), flush=True)
    return {"ml_1m": {**run, "events": len(rows), "epochs_at_most": epochs}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--sets", default="ml-100k,ml-1m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs-1m", type=int, default=25)
    given = parser.parse_args()
    made: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "threads": torch.get_num_threads()}
    if "ml-100k" in given.sets:
        made |= ml_100k(given.data, given.seeds)
    if "ml-1m" in given.sets:
        made |= ml_1m(given.data, given.epochs_1m)
    made["peak_gib"] = round((memory.highest() or 0) / 2**30, 2)
    for name, value in made.items() if not given.json else ():
        print(f"{name:<28} {value}")
    if given.json:
        print(json.dumps(made))


if __name__ == "__main__":
    main()
