"""What a row of each model of content costs, and `motet models` says: processor time of an ask, in one batch.

    OMP_WAIT_POLICY=PASSIVE python bench/costs.py --data DIR [--json] [--keep bench/landscape.out] [--only NAME ...]

DIR holds banking77/. A graph of one model is fitted on 500 training texts and asked a few test texts at once, twice;
the second is what counts, so weights are loaded. ms is processor time an ask, with all that the graph needs beside the
model: parsing, and for rankings the search. Language models are the packaged one, 135 million parameters. Pictures are
made here, 640 by 480, and are decoded. Draw is an endpoint's and is not measured.
--keep writes src/motet/measured.json: these figures, and processor time and memory of the fits in that file; with
--only, which takes names as below, those of the others stay.
"""

from __future__ import annotations

import argparse
import base64
import io
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

import motet as mt

KEPT = Path(mt.__file__).parent / "measured.json"
LLM = mt.LLM("smollm2-135m")
DATA = "banking77"


class Answer(mt.Entity):
    answer_id: mt.Key
    words: mt.Text


class Query(mt.Event):
    at: mt.Time
    text: mt.Text
    photo: mt.Image = mt.default(None)
    intent: mt.Category = mt.outcome()
    answer: Answer = mt.outcome()


class Mood(mt.Record):
    urgency: mt.Category = mt.labels("urgent", "calm")


embed = mt.Embed("minilm-l6")
found = mt.retrieve(Answer, k=10, by=[mt.BM25()(Answer.words, Query.text), mt.Popular()(Query.answer)])
heard = mt.Dialogue()(Query.text, Answer.words)
meaning = embed(Answer.words)
SAID: dict[str, tuple[int, Callable[[], Any]]] = {
    "Embed": (100, lambda: embed(Query.text)),
    "TFIDF": (100, lambda: mt.TFIDF()(Query.text)),
    "BM25": (100, lambda: mt.retrieve(Answer, k=10, by=[mt.BM25()(Answer.words, Query.text)])),
    "Classify": (100, lambda: mt.Classify()(Query.text, target=Query.intent).label),
    "Extract": (4, lambda: mt.Extract(LLM, Mood, seconds=60)(Query.text).urgency),
    "FewShot": (
        4,
        lambda: mt.FewShot(LLM, seconds=60)(Query.text, near=embed(Query.text), target=Query.intent).label,
    ),
    "Rerank": (2, lambda: mt.Rerank(LLM, seconds=60)(found.top(5), Query.text, Answer.words)),
    "Write": (
        2,
        lambda: mt.Write(LLM, "Answer {query} using only {answers}.")(query=Query.text, answers=found.top(2)).within(
            seconds=60, otherwise=""
        ),
    ),
    "Dialogue": (100, lambda: heard.query),
    "Pool": (100, lambda: mt.retrieve(Answer, k=10, by=[meaning @ mt.Pool()(heard.named, meaning)])),
    "Template": (100, lambda: mt.Template()(found.top(3))),
    "EmbedImage": (4, lambda: mt.EmbedImage()(Query.photo)),
    "ClassifyImage": (4, lambda: mt.ClassifyImage()(Query.photo).label),
}


def texts(folder: Path) -> tuple[mt.Data, list[str]]:
    rows = pl.read_parquet(folder / DATA / f"{DATA}.parquet").rename({"label": "intent"})
    train, test = rows.filter(pl.col("split") == "train"), rows.filter(pl.col("split") == "test")
    answers = {name: i for i, name in enumerate(sorted(train["intent"].unique().to_list()))}
    told = (
        train.sample(500, seed=0)
        .select("text", "intent", at=pl.int_range(pl.len()) * 60.0)
        .with_columns(answer=pl.col("intent").replace_strict(answers))
    )
    known = [{"answer_id": i, "words": name.replace("_", " ")} for name, i in answers.items()]
    return mt.Data({Answer: known, Query: told.to_dicts()}), test["text"].sample(200, seed=0).to_list()


def photo(seed: int) -> str:
    from PIL import Image

    made = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (480, 640, 3), np.uint8)).save(made, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(made.getvalue()).decode()


def ms(column: Any, data: mt.Data, asked: list[str]) -> float:
    """Processor time of an ask, in milliseconds. No text is asked twice, or what is remembered would answer."""
    half = len(asked) // 2
    with tempfile.TemporaryDirectory() as store:
        fitted = mt.Graph(out=column).fit(data, store=store, quiet=True)
        fitted.prepare()
        taken = 0.0
        for part in (range(half), range(half, len(asked))):
            asks = [{"text": asked[i], "photo": photo(i), "at": 1e9} for i in part]
            began = time.process_time()
            fitted.ask_many(asks)
            taken = time.process_time() - began
    return 1000 * taken / (len(asked) - half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--keep", type=Path, help="what bench/landscape.py printed")
    parser.add_argument("--only", nargs="+", choices=SAID, default=list(SAID))
    given = parser.parse_args()
    data, asked = texts(given.data)
    made: dict[str, Any] = {}
    for name in given.only:
        n, column = SAID[name]
        taken = ms(column(), data, asked[: 2 * n])
        made[name] = {"data": "pictures" if name.endswith("Image") else DATA, "ms": float(f"{taken:.2g}")}
        print(f"{name:<14} {made[name]['ms']:g} ms", flush=True)
    if given.keep:
        rows = json.loads(given.keep.read_text().splitlines()[-1])["rows"]
        of = ("data", "cpu_seconds", "memory_mb")
        fits = {r["model"]: {name: r[name] for name in of} for r in rows if " " not in r["model"]}
        kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        KEPT.write_text(json.dumps(kept | fits | made, indent=1) + "\n")
    if given.json:
        print(json.dumps({"costs": made}))


if __name__ == "__main__":
    main()
