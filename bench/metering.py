"""What metering every model's calls costs of a server's throughput.

    python bench/metering.py --data DIR [--json] [--seconds 240]

The reference graph of bench/serve.py (bench/_reference.py) behind the server's own engine in this process, no HTTP: 32
clients that ask again as soon as they have their answer, every query a new one, batches of up to 16. With calls
metered, as always, and with a runner that meters nothing, so that the counts for a scrape have nothing to count either;
in rounds of four short turns, one way, twice the other, and the first again, the other way around in every second
round, all of a round asking the same words in another order. overhead: the median over the rounds of 1 - throughput
metered / throughput not metered, low and high its 95 % interval (order statistics); cpu_overhead: the same of processor
time; call_us: microseconds that metering and counting a call take, of which the graph makes three a batch. The bar is
0.02. --data is not read.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from _reference import USERS, WORDS, Ask, Item, graph, items, write_ranker
from threadpoolctl import threadpool_limits

import motet as mt
from motet.apply import Apply, Fit
from motet.batch import Array, Batch
from motet.cells import Cells
from motet.cost import Cost
from motet.metrics.distributions import binomial
from motet.model import State
from motet.run.rows import Kept, Rows
from motet.run.runner import check_rows
from motet.serve.engine import Limits
from motet.serve.server import Server
from motet.serve.version import Row, Running, Version

CLIENTS = 32
ASKS = 128  # of one turn
WARM = 5  # rounds that are not counted
BAR = 0.02


class Bare:
    """Does the models' work, and meters nothing."""

    def fit(self, node: Fit, batch: Batch, target: Any) -> tuple[State, Cost]:
        raise AssertionError("nothing is fitted while it is served")

    def apply(self, node: Apply, state: State, batch: Batch) -> Any:
        value = node.model.apply(state, batch)
        check_rows(node, value, batch.rows)
        return value

    def rows(self, node: Apply, rows: Rows, new: Array, cells: Cells) -> Iterator[Kept]:
        raise AssertionError("nothing is kept while it is served")


class Unmetered(Version):
    def begin(self, rows: Sequence[Row], ends: float | None = None, cores: int = 1) -> Running:
        running = super().begin(rows, ends, cores)
        running.run.runner = Bare()
        return running


def published(folder: Path) -> mt.Fitted:
    write_ranker(folder / "ranker.onnx")
    made = graph(folder / "ranker.onnx")
    data = mt.Data({Item: items(), Ask: [{"user": 1.0, "query": "x", "at": 0, "item": 0}]})
    made.fit(data, store=folder, quiet=True).prepare()
    return mt.published(made, store=folder, quiet=True)


def drawn(seed: int) -> list[list[Row]]:
    """Asks for the four turns of a round: the same words, every time in another order."""
    rng, words = random.Random(seed), WORDS.split()
    said = [[rng.choice(words) for _ in range(8)] for _ in range(ASKS)]
    return [
        [{"user": float(rng.randrange(USERS)), "query": " ".join(rng.sample(each, 8))} for each in said]
        for _ in range(4)
    ]


async def turn(server: Server, version: Version, rows: Sequence[Row]) -> tuple[float, float]:
    """Seconds of the clock and of the processor until all are answered."""
    server.version = version
    waiting = iter(rows)

    async def client() -> None:
        for row in waiting:
            await server.ask(row)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return time.perf_counter() - wall, time.process_time() - cpu


async def measured(fitted: mt.Fitted, seconds: float) -> dict[str, float]:
    metered, free = Version(fitted, 1), Unmetered(fitted, 1)
    server = Server("graph", metered, Limits(cores=len(os.sched_getaffinity(0))))
    await server.start()
    ratios: list[Array] = []
    took: list[float] = []
    ends = time.monotonic() + seconds
    for number in itertools.count(-WARM):
        if number > 0 and time.monotonic() > ends:
            break
        outer, inner = (metered, free) if number % 2 else (free, metered)
        found = {metered: np.zeros(2), free: np.zeros(2)}
        for version, rows in zip((outer, inner, inner, outer), drawn(number), strict=True):
            found[version] += await turn(server, version, rows)
        if number >= 0:
            ratios.append(found[free] / found[metered])
            took.append(found[metered][0] / 2)
    calls = calls_counted(server)
    await server.stop()
    if not calls:
        raise SystemExit("no call was metered, so nothing was compared")
    wall, cpu = 1 - np.array(ratios).T
    (overhead, low, high), (of_cpu, cpu_low, cpu_high) = middle(wall), middle(cpu)
    return {
        "overhead": overhead,
        "low": low,
        "high": high,
        "cpu_overhead": of_cpu,
        "cpu_low": cpu_low,
        "cpu_high": cpu_high,
        "bar": BAR,
        "rounds": len(ratios),
        "call_us": call_us(metered, server),
        "per_second": ASKS / float(np.median(took)),
    }


def call_us(version: Version, server: Server, calls: int = 5_000) -> float:
    """What the metering and the counting of one call take, of a model that does nothing."""

    class Idle(mt.Model):
        def apply(self, state: State, batch: Batch) -> None:
            pass

    running, node = version.begin(drawn(0)[0][:1]), Apply(Idle(), {})
    metered, bare, batch = running.run.runner, Bare(), Batch({}, rows=1)
    taken: list[float] = []
    for runner in (metered, bare):
        began = time.perf_counter()
        for _ in range(calls):
            runner.apply(node, State(), batch)
        if runner is metered:
            server.metrics.ran(running)
        taken.append(time.perf_counter() - began)
    return 1e6 * (taken[0] - taken[1]) / calls


def middle(values: Any) -> tuple[float, float, float]:
    """The median, and the two values between which it lies in 95 % of such rows, whatever their distribution."""
    order, n = np.sort(values), len(values)
    beyond = max((k for k in range(n // 2) if 2 * binomial(k, n, 0.5) <= 0.05), default=0)
    return float(np.median(order)), float(order[beyond]), float(order[n - 1 - beyond])


def calls_counted(server: Server) -> float:
    """What a scrape says: the calls of the metered turns."""
    lines = server.metrics.text().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("motet_model_calls_total{"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not read")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--seconds", type=float, default=240)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        found = asyncio.run(measured(published(Path(folder)), given.seconds))
    found = {name: round(value, 4) for name, value in found.items()}
    print(json.dumps(found) if given.json else "\n".join(f"{name:<16} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
