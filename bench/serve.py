"""How much of what the models alone could do is left when a graph of them is served over HTTP.

    python bench/serve.py --data DIR [--json] [--seconds 10] [--rounds 3]

The graph: MiniLM-L6 (fp32) embeds a query, the 100 nearest of 10,000 items are found exactly, a DLRM scores them, the
best ten are answered (bench/_reference.py). The limit: the same three models called by hand in this process as one
would without Motet, MiniLM as torch exports it (bench/_bare.py), no HTTP, no JSON, no graph: one at a time on one
thread, 8 and 16 at a time on two threads. Beside it, as `own`, the same with Motet's embedder, which pads nothing, and
as `two_cores` one at a time with both cores for the embedder, which the server gives a lone request too. Then the
server, one process, is asked by wrk over 1, 8 and 32 connections, every query a new one. By turns, so that all see the
same machine; ratios are medians of the rounds. --data is not read: items and queries are drawn at random.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from _bare import embedder, write_encoder
from _reference import NODES, TOP, USERS, WORDS, ByHand, chain, graph, prepared, requests, write_ranker
from _server import Load, Serving, needs_wrk, serving

# connections, then how the limit beside them is taken: requests at a time, threads
POINTS = ((1, 1, 1), (8, 8, 2), (32, 16, 2))


def limit(models: ByHand, batch: int, threads: int, seconds: float) -> tuple[float, float]:
    """Requests a second of the models alone, and milliseconds of processor for each."""
    asks, done = requests(), [0] * threads
    stop = time.perf_counter() + seconds

    def work(thread: int) -> None:
        at = thread * batch
        while time.perf_counter() < stop:
            models([asks[(at + i) % len(asks)] for i in range(batch)])
            done[thread] += batch
            at += threads * batch

    workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
    began, cpu = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return sum(done) / wall, 1e3 * cpu / sum(done)


def same(server: Serving, models: ByHand) -> None:
    """The server's answers are those of the models called by hand."""
    for ask in requests(5):
        status, said = server.ask(ask)
        (wanted, scores), found = models([ask])[0], said["answer"]["top"]
        assert status == 200, said
        assert [item["item_id"] for item in found] == wanted, (found, wanted)
        assert np.allclose([item["score"] for item in found], scores, atol=1e-4)
        assert len(found) == TOP


class Taken:
    """What was measured, every round once."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def keep(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def medians(self) -> dict[str, float]:
        return {name: float(np.median(values)) for name, values in self.values.items()}

    def last(self) -> str:
        told = ("ratio", "rps", "limit_")
        return ", ".join(f"{n} {v[-1]:.3g}" for n, v in self.values.items() if n.startswith(told))


def measured(folder: Path, seconds: float, rounds: int) -> dict[str, float]:
    ranker, encoder = folder / "ranker.onnx", folder / "encoder.onnx"
    write_encoder(encoder)
    by_hand = {
        "": ByHand(ranker, embedder(encoder)),
        "_two_cores": ByHand(ranker, embedder(encoder, 2)),
        "_own": ByHand(ranker),
    }
    target, taken = prepared(folder, graph(ranker), "served"), Taken()
    with serving(target, folder, requests(1)[0]) as server:
        same(server, by_hand[""])
        asked(server, 32, 2)
        for turn in range(rounds):
            for connections, batch, threads in POINTS:
                at(taken, server, by_hand, seconds, connections, batch, threads)
            print(f"round {turn + 1}: {taken.last()}", flush=True)
        taken.keep("rss_mb", server.memory_mb())
        taken.keep("cold_start_s", server.cold_start)
    for _ in range(2):
        with serving(target, folder, requests(1)[0]) as server:
            taken.keep("cold_start_s", server.cold_start)
    for _ in range(rounds):
        two, three = (several(target, folder, workers) for workers in (2, 3))
        taken.keep("another_worker_mb", three - two)
    return taken.medians()


def at(
    taken: Taken,
    server: Serving,
    by_hand: dict[str, ByHand],
    seconds: float,
    connections: int,
    batch: int,
    threads: int,
) -> None:
    """One point of a round: the limits, then the server."""
    several = {name: models for name, models in by_hand.items() if name != "_two_cores" or batch == 1}
    limits = {name: limit(models, batch, threads, seconds) for name, models in several.items()}
    cpu = server.cpu()
    found = asked(server, connections, seconds)
    for name, (most, _) in limits.items():
        taken.keep(f"limit{name}_{connections}", most)
        taken.keep(f"ratio{name}_{connections}", found.per_second / most)
    taken.keep(f"rps_{connections}", found.per_second)
    taken.keep(f"p50_ms_{connections}", found.p50_ms)
    taken.keep(f"p99_ms_{connections}", found.p99_ms)
    taken.keep(f"bad_{connections}", found.bad)
    if connections == 32:
        taken.keep("cpu_ms_per_request", 1e3 * (server.cpu() - cpu) / found.requests)
        taken.keep("limit_cpu_ms_per_request", limits[""][1])


def several(target: str, folder: Path, workers: int) -> float:
    """Memory of a server of so many processes that have all worked, pages that they share counted once."""
    with serving(target, folder, requests(1)[0], "--workers", str(workers)) as server:
        time.sleep(3)
        asked(server, 32, 4)
        return server.memory_mb()


def noop_node_us(folder: Path, seconds: float, rounds: int) -> float:
    """What a node that does nothing adds to a request, in microseconds: a chain of many against none, by turns."""
    short, long = (prepared(folder, chain(n), name) for n, name in ((0, "short"), (NODES, "long")))
    first = {"user": 1, "query": "x"}
    with serving(short, folder, first) as one, serving(long, folder, first) as other:
        more = [asked(other, 1, seconds).p50_ms - asked(one, 1, seconds).p50_ms for _ in range(rounds)]
    return 1e3 * float(np.median(more)) / NODES


def asked(server: Serving, connections: int, seconds: float) -> Load:
    return server.load(connections, seconds, WORDS, USERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not read")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    needs_wrk()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_ranker(folder / "ranker.onnx")
        figures: dict[str, Any] = measured(folder, given.seconds, given.rounds)
        figures["noop_node_us"] = noop_node_us(folder, min(given.seconds, 5), given.rounds)
    figures = {name: round(value, 4) for name, value in figures.items()}
    print(json.dumps(figures) if given.json else "\n".join(f"{name:<26} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
