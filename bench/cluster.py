"""The same graph on Ray: what that costs, whether it says the same, and what kills in its middle lose and repeat.

`prepare`: 50,000 texts (bank customers' questions, film reviews, conversations, reviews of clothes) are embedded by
MiniLM in this process, which has a thread for each core, and by two workers of Ray of a core each. Ray's start counts.
`serve`: the reference graph of bench/serve.py is served by `motet serve` and by `motet serve --on ray` with one
replica, and they are asked by turns over 32 connections. `equal`: prepared columns are equal to 1e-6, asks are
answered the same, and models that were fitted there measure the same. `kills`: on Ray's test cluster of two nodes a
worker's process, its actor or its whole node is killed in mid-prepare, so many times each.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _kills
import numpy as np
import polars as pl
from _films import Film, Viewer, Visit, films_100k, seen, viewers_100k, visits_100k
from _reference import USERS, WORDS, graph, prepared, requests, write_ranker
from _server import needs_wrk, serving

import motet as mt
from motet.run.ray import cluster

CONNECTIONS = 32
CORES = len(os.sched_getaffinity(0))
ONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
ON = ("--on", f"ray,workers=1,cpus={CORES}")


class Said(mt.Entity):
    number: mt.Key
    text: mt.Text


def texts(data: Path, n: int) -> list[str]:
    """Real and distinct, of 5 to 120 words."""
    sources = {
        "banking77/banking77.parquet": "text",
        "sst2/sst2.parquet": "text",
        "redial-conversations/valid_messages.parquet": "text",
        "womens-clothing-reviews/reviews.parquet": "review_text",
    }
    found = [pl.read_parquet(data / file)[field].drop_nulls().to_list() for file, field in sources.items()]
    distinct = list(dict.fromkeys(text for some in found for text in some if text))
    if len(distinct) < n:
        sys.exit(f"{n:,} texts are asked for, and there are {len(distinct):,}")
    return distinct[:n]


def timed(data: mt.Data, folder: Path, on: mt.Ray | None) -> tuple[float, Any]:
    """Seconds of a prepare, and what it has made."""
    fitted = mt.Graph(meaning=mt.Embed("minilm-l6")(Said.text)).fit(data, store=folder, quiet=True)
    began = time.perf_counter()
    fitted.prepare(on=on)
    took = time.perf_counter() - began
    return took, np.array(fitted.context(data, fitted.prepared).shared(fitted.outline.outputs["meaning"]))


def preparing(data: Path, n: int) -> tuple[dict[str, float], bool]:
    said = mt.Data({Said: [{"number": i, "text": text} for i, text in enumerate(texts(data, n))]})
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        here, ours = timed(said, Path(one), None)
        print(f"prepare here: {here:.1f} s", flush=True)
        there, theirs = timed(said, Path(other), mt.Ray(workers=2))
        print(f"prepare on Ray: {there:.1f} s", flush=True)
    cluster.ray().shutdown()
    apart = float(np.abs(ours - theirs).max())
    print(f"vectors differ by {apart:g} at most", flush=True)
    found = {"prepare_ratio": there / here, "prepare_s": here, "prepare_ray_s": there}
    return found | {"texts_per_core_second": n / here / CORES}, apart <= 1e-6


def serving_both(seconds: float, rounds: int) -> tuple[dict[str, float], bool]:
    """Both are up, and are loaded by turns: what else this machine does changes more slowly than that."""
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_ranker(folder / "ranker.onnx")
        target, first = prepared(folder, graph(folder / "ranker.onnx"), "served"), requests(1)[0]
        with serving(target, folder, first, env=ONE) as here, serving(target, folder, first, *ON, env=ONE) as there:
            servers = {"here": here, "ray": there}
            for server in servers.values():
                server.load(CONNECTIONS, 3, WORDS, USERS)
            for turn in range(rounds):
                for name, server in servers.items():
                    found = server.load(CONNECTIONS, seconds, WORDS, USERS)
                    taken.setdefault(f"rps_{name}", []).append(found.per_second)
                    taken.setdefault(f"p50_ms_{name}", []).append(found.p50_ms)
                    taken.setdefault(f"p99_ms_{name}", []).append(found.p99_ms)
                    taken.setdefault(f"bad_{name}", []).append(found.bad)
                taken.setdefault("serve_ratio", []).append(taken["rps_ray"][-1] / taken["rps_here"][-1])
                print(f"round {turn + 1}: " + ", ".join(f"{k} {v[-1]:.3g}" for k, v in taken.items()), flush=True)
            said = {name: [server.ask(ask)[1]["answer"] for ask in requests(20)] for name, server in servers.items()}
            memory = {f"memory_mb_{name}": server.memory_mb() for name, server in servers.items()}
            starts = {f"start_s_{name}": server.cold_start for name, server in servers.items()}
    figures = {name: float(np.median(values)) for name, values in taken.items()}
    return {**figures, **memory, **starts}, close(said["here"], said["ray"])


def close(first: Any, second: Any) -> bool:
    """Equal, but for the last bits of numbers."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(close(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(close, first, second))
    return first == second or (isinstance(first, float) and abs(first - second) < 1e-5)


def fits(data: Path) -> dict[str, float]:
    """The largest difference of any metric of MovieLens-100K between a graph fitted here and one fitted on Ray."""
    taste, liked = mt.SASRec(dim=16, length=20, blocks=1, epochs=1)(seen, Film), mt.ALS(dim=16)(seen, Film)
    found = mt.retrieve(Film, k=20, by=[taste, liked], exclude=seen)
    score = mt.LightGBM("lambdarank", trees=20)(found, Film.year, Visit.viewer.age, target=Visit.rating >= 4)
    films, viewers, visits = films_100k(data), viewers_100k(data), visits_100k(data)
    train, test = mt.Data({Film: films, Viewer: viewers, Visit: visits}).split(last=1, by=Visit.viewer)
    taken: dict[str, float] = {}
    measured: list[Any] = []
    for name, on in (("fit_s", None), ("fit_ray_s", mt.Ray(workers=2))):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            fitted = mt.Graph(top=score.top(10)).fit(train, store=folder, quiet=True, on=on)
            taken[name] = time.perf_counter() - began
            measured.append([figure.estimate.value for figure in fitted.evaluate(test).figures])
            print(f"{name}: {taken[name]:.1f}, {measured[-1][:3]}", flush=True)
    cluster.ray().shutdown()
    return taken | {"metrics_apart": max(abs(a - b) for a, b in zip(*measured, strict=True) if a is not None)}


def kills(times: int) -> dict[str, int]:
    cluster.ray()
    from ray.cluster_utils import Cluster

    made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1)
        on = mt.Ray(made.address, workers=2, wait=60)
        found = {"kills": 0, "lost_after_kill": 0, "repeated_after_kill": 0, "wrong_after_kill": 0}
        for name, kill in (("worker", _kills.a_worker), ("actor", _kills.an_actor), ("node", _kills.a_node(made))):
            for turn in range(times):
                with tempfile.TemporaryDirectory() as folder:
                    seen = _kills.killed(Path(folder), on, kill)
                print(f"{name} {turn + 1}: {seen}", flush=True)
                found["kills"] += int(seen.left > 0)
                found["lost_after_kill"] += seen.lost
                found["repeated_after_kill"] += seen.repeated
                found["wrong_after_kill"] += int(not seen.right)
        return found
    finally:
        cluster.ray().shutdown()
        made.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds banking77 and others")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--kills", type=int, default=10, help="so many of each kind")
    given = parser.parse_args()
    needs_wrk()
    served, same_answers = serving_both(given.seconds, given.rounds)
    prepare, same_columns = preparing(given.data, given.texts)
    fitted = fits(given.data)
    equal = same_answers and same_columns and fitted["metrics_apart"] < 0.01
    figures: dict[str, Any] = {**prepare, **served, **fitted, "equal": equal, **kills(given.kills)}
    figures = {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
    print(json.dumps(figures) if given.json else "\n".join(f"{name:<26} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
