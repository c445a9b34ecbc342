"""Every model of behavior on the same data: how good, how long, how much memory, what it costs.

    OMP_WAIT_POLICY=PASSIVE python bench/landscape.py --data DIR [--json] [--only NAMES]

DIR holds movielens-100k/ and frappe-apps/. One fit a row, seed 0, in one process; time and memory are those of the fit,
memory as the most it added; usd is its processor time at 0.04 an hour. Intervals are 95 % bootstraps over requests.

ml-100k: leave-one-out, full ranking. A viewer's last event is the test and the rest is learnt from (its models hold out
of that what they need); all films are ranked, less those seen before, ties against the model. Events of one second keep
the file's order, a microsecond apart. NDCG@10.
frappe: the 96,203 rows of the usage log, and for each two apps drawn at random that this user had not used in this
context; 7:2:1 at random into training, validation and test. The models are given the first two parts: DCN-v2 learns
from the first and stops by the log loss of the second, the others use both as they do. AUC. Published (BARS, Frappe_x1,
the same protocol with other draws): DCN-v2 98.45, the best of 12 settings by its validation part; their test parts give
98.29 to 98.45. How the others are drawn decides how high it can be: apps of like popularity would be harder to tell.
dcn_rows_per_second: rows that DCN-v2 learns from a second there, of the clock and of the processor; medians of epochs.
RecBole's DCN-v2 on one 2-core machine: 22.9 k rows a second, 14 k a processor second.
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
from rich.table import Table

import motet as mt
from motet import memory
from motet.batch import Codes, Vocabulary
from motet.printed import printed

CPU_HOUR = 0.04
ALL = 10**9
RECBOLE = {"rows_per_second": 22_900, "rows_per_cpu_second": 14_000}
PUBLISHED = {"frappe": {"DCN-v2": 0.9845}}
CONTEXT = ("user_id", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city_id")
APPS = 4082
EPOCHS = 5  # of the speed


class Film(mt.Entity):
    film_id: mt.Key


class Viewer(mt.Entity):
    viewer_id: mt.Key


class Visit(mt.Event):
    viewer: Viewer
    at: mt.Time
    film: Film = mt.outcome()


class Use(mt.Event):
    at: mt.Time
    user_id: mt.Category
    item_id: mt.Category
    daytime: mt.Category
    weekday: mt.Category
    isweekend: mt.Category
    homework: mt.Category
    cost: mt.Category
    weather: mt.Category
    country: mt.Category
    city_id: mt.Category
    used: mt.Flag = mt.outcome()


seen = mt.past(Visit.film, by=Visit.viewer)
recent = mt.past(Visit.film, by=Visit.viewer, last=50)
FEATURES = tuple(getattr(Use, name) for name in ("item_id", *CONTEXT))
dcn = mt.DCN(
    dim=10,
    cross=2,
    hidden=(256, 256),
    dropout=0.4,
    l2=0.05,
    normalised=True,
    held=2 / 9,
    batch=4096,
    epochs=60,
)

RANKERS: dict[str, Callable[[], mt.Number]] = {
    "Popular": lambda: mt.Popular()(Visit.film),
    "Popular 30 days": lambda: mt.Popular(within="30d")(Visit.film),
    "ItemKNN": lambda: mt.ItemKNN()(seen, Film),
    "ALS": lambda: mt.ALS()(seen, Film),
    "EASE": lambda: mt.EASE()(seen, Film),
    "TwoTower": lambda: mt.TwoTower(held=ALL)(recent, Film),
    "SASRec": lambda: mt.SASRec(batch=128, epochs=60, held=ALL)(recent, Film),
    "HSTU": lambda: mt.HSTU(batch=128, epochs=60, held=ALL)(recent, Film),
}
PREDICTORS: dict[str, Callable[[], mt.Number]] = {
    "Logistic": lambda: mt.Logistic()(*FEATURES, target=Use.used),
    "LightGBM": lambda: mt.LightGBM(trees=1_000, leaves=63, learning_rate=0.1)(*FEATURES, target=Use.used),
    "DCN": lambda: dcn(*FEATURES, target=Use.used),
}


def visits(folder: Path) -> tuple[mt.Data, mt.Data]:
    """Train and test."""
    rated = pl.read_parquet(folder / "movielens-100k" / "ratings.parquet").with_row_index("n")
    rated = rated.sort("user_id", "timestamp", "n")
    tied = pl.int_range(pl.len()).over("user_id", "timestamp")
    at = pl.col("timestamp").cast(pl.Int64) * 1_000_000 + tied
    rows = rated.select(viewer="user_id", at=at.cast(pl.Datetime("us", "UTC")), film="item_id")
    return mt.Data({Visit: rows}).split(last=1, by=Visit.viewer)


def uses(folder: Path) -> pl.DataFrame:
    """What was used and what was not, in the order of the split."""
    log = pl.read_parquet(folder / "frappe-apps" / "interactions.parquet").select("item_id", *CONTEXT)
    context = log.select(pl.struct(CONTEXT).rank("dense"))[:, 0].to_numpy().astype(np.int64)
    draw, used = np.random.default_rng(0), np.unique(context * APPS + log["item_id"].to_numpy())
    twice = np.repeat(np.arange(len(log)), 2)
    apps = draw.integers(0, APPS, len(twice))
    while (known := np.isin(context[twice] * APPS + apps, used)).any():
        apps[known] = draw.integers(0, APPS, int(known.sum()))
    others = log[twice].with_columns(pl.Series("item_id", apps.astype(np.int32)))
    both = pl.concat([log.with_columns(used=pl.lit(1.0)), others.with_columns(used=pl.lit(0.0))])
    both = both[draw.permutation(len(both))].with_columns(pl.col("item_id", *CONTEXT).cast(pl.String))
    return both.with_row_index("n").with_columns(at=pl.col("n").cast(pl.Int64).cast(pl.Datetime("us", "UTC"))).drop("n")


def parts(rows: pl.DataFrame) -> tuple[mt.Data, mt.Data]:
    """The first 90 %, and the rest."""
    return mt.Data({Use: rows}).split(at=int(len(rows) * 0.9))


def row(name: str, data: str, graph: mt.Graph, metric: str, train: mt.Data, test: mt.Data) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as store:
        memory.give_back()
        watch, began, cpu = memory.Peak(), time.perf_counter(), time.process_time()
        fitted = graph.fit(train, store=store, quiet=True)
        seconds, cpu, peak = time.perf_counter() - began, time.process_time() - cpu, watch.end()
        found = fitted.evaluate(test).figure("out", metric)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    made: dict[str, Any] = {"model": name, "data": data, "metric": metric, "value": round(found.value, 4)}
    made |= {"low": round(found.low, 4), "high": round(found.high, 4), "seconds": round(seconds, 1)}
    made |= {"memory_mb": None if peak is None else round(peak / 2**20), "cpu_seconds": round(cpu, 1)}
    return {**made, "usd": round(cpu / 3600 * CPU_HOUR, 6)}


def speed(rows: pl.DataFrame) -> dict[str, int]:
    """How fast DCN-v2 learns from Frappe, as it is built above."""
    from motet.model import State
    from motet.models.behavior import inputs
    from motet.models.behavior.dcn_net import Net
    from motet.models.behavior.dcn_train import Trainer

    learnt = rows[: int(len(rows) * 0.7)]
    values = {name: coded(learnt[name]) for name in ("item_id", *CONTEXT)}
    laid = State(layout=inputs.layout(values, dcn.names))
    encoded = inputs.encoded(laid, values)
    net = Net(dcn, int(inputs.starts(laid["layout"])[-1]), encoded.codes.shape[1], 0)
    trainer = Trainer(encoded, learnt["used"].to_numpy().astype(np.float32), net, dcn, seed=0)
    taken: list[tuple[float, float]] = []
    for _ in range(EPOCHS):
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.epoch()
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = np.median(np.array(taken), axis=0).tolist()
    return {"rows_per_second": round(len(learnt) / wall), "rows_per_cpu_second": round(len(learnt) / cpu)}


def coded(column: pl.Series) -> Codes:
    names, codes = np.unique(column.to_numpy().astype(str), return_inverse=True)
    return Codes(codes.astype(np.int32), Vocabulary(pl.Series(names.tolist()).to_arrow()))


def table(rows: list[dict[str, Any]]) -> Table:
    made = Table(*("model", "data", "metric", "value", "95 %", "fit s", "cpu s", "MB", "usd"), box=None)
    for r in rows:
        interval = f"[{r['low']:.4f}, {r['high']:.4f}]"
        figures = (f"{r['value']:.4f}", interval, f"{r['seconds']:,}", f"{r['cpu_seconds']:,}")
        made.add_row(r["model"], r["data"], r["metric"], *figures, str(r["memory_mb"]), f"{r['usd']:.6f}")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--only", default="", help="models, such as ALS,DCN")
    given = parser.parse_args()
    known = [*RANKERS, *PREDICTORS]
    wanted = list(dict.fromkeys(n.strip() for n in given.only.split(","))) if given.only else known
    if strange := [name for name in wanted if name not in known]:
        parser.error(f"no model is called {strange[0]!r}; there are: {', '.join(known)}")
    rows: list[dict[str, Any]] = []
    made: dict[str, Any] = {"rows": rows, "cores": len(os.sched_getaffinity(0)), "published": PUBLISHED}

    def take(found: dict[str, Any]) -> None:
        rows.append(found)
        print(json.dumps(found), flush=True)

    if rankers := [name for name in wanted if name in RANKERS]:
        train, test = visits(given.data)
        for name in rankers:
            ranked = mt.Graph(out=mt.retrieve(Film, k=100, by=[RANKERS[name]()], exclude=seen))
            take(row(name, "ml-100k", ranked, "NDCG@10", train, test))
    if predictors := [name for name in wanted if name in PREDICTORS]:
        log = uses(given.data)
        train, test = parts(log)
        for name in predictors:
            take(row(name, "frappe", mt.Graph(out=PREDICTORS[name]()), "AUC", train, test))
        if "DCN" in predictors:
            made["dcn_rows_per_second"] = speed(log)
            made["recbole"] = RECBOLE
    print("\n".join(printed(table(rows), width=120)))
    if given.json:
        print(json.dumps(made))


if __name__ == "__main__":
    main()
