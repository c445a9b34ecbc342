"""Where exact search stops being the fastest: milliseconds a query and recall@10 against the index.

    python bench/search.py [--json] [--sizes 10000 100000]

The items are random mixtures of 200 directions with noise, which is kinder to a graph index than pure noise
and harsher than most embeddings; the queries are drawn in the same way.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from motet.search import Index, Matrix, top

K = 10


def mixtures(n: int, d: int, seed: int) -> Matrix:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(200, d)).astype(np.float32)
    points = centres[rng.integers(0, 200, n)] + rng.standard_normal((n, d), np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def milliseconds(search: Callable[[Matrix], object], queries: Matrix, batch: int) -> float:
    """The median time of a query when `batch` of them are asked at once."""
    search(queries[:batch])
    taken: list[float] = []
    for start in range(0, 320, batch):
        began = time.perf_counter()
        search(queries[start : start + batch])
        taken.append((time.perf_counter() - began) / batch)
    return 1000 * float(np.median(taken))


def measured(m: int, d: int) -> dict[str, float]:
    items, queries = mixtures(m, d, 1), mixtures(320, d, 2)
    began = time.perf_counter()
    index = Index.build(items)
    row: dict[str, float] = {"items": m, "d": d, "build_seconds": time.perf_counter() - began}
    exact, found = top(queries, items, K)[0], index.search(queries, K)[0]
    row["recall"] = float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))
    for batch in (1, 32):
        row[f"exact_ms_{batch}"] = milliseconds(lambda some: top(some, items, K), queries, batch)
        row[f"index_ms_{batch}"] = milliseconds(lambda some: index.search(some, K), queries, batch)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000, 200_000, 1_000_000])
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 384])
    given = parser.parse_args()
    rows: list[dict[str, float]] = []
    for d in given.dims:
        for m in given.sizes:
            rows.append(measured(m, d))
            print("  ".join(f"{name} {value:,.3f}" for name, value in rows[-1].items()), flush=True)
    if given.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
