"""Where few labels are known or none: what a student learns from a teacher's labels, and which of both is worth more.

    python bench/distill.py --data DIR [--json] [--asked 300] [--sample 400] [--only NAME]

Banking77 and SST-2, most labels of the training part hidden. The teacher is a classifier of words and meaning that has
learnt the known ones, or SmolLM2-135M, which is shown the nearest of them, or none. The student reads words, or
MiniLM's vectors, and learns what the teacher says of the sample. Beside it stands the same model fitted to the known
labels alone. A right label is worth 1 cent, a wrong one costs 5; a processor core costs 4 cents an hour. What is fitted
and labelled is spread over a million requests. asked, sample: texts that the language model answers, and labels.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import motet as mt
from motet.returns.distill import Distilled

WORTH = mt.Worth(correct=0.01, wrong=-0.05)
PRICES = mt.Prices(cpu_hour=0.04)
REQUESTS = 1_000_000
EVERYTHING = 1_000_000


def hidden(everything: mt.Data, event: type[mt.Event], name: str, known: int) -> mt.Data:
    """The same texts, of whose training part only the first `known` of each label have one."""
    from examples.intents.graph import TESTED_FROM

    columns: Any = everything.tables[event].columns
    train = everything.split(at=TESTED_FROM)[0].asked[event]
    labels: list[str | None] = columns[name].names.names.take(columns[name].codes).to_pylist()
    seen: Counter[str | None] = Counter()
    for row in train.tolist():
        seen[labels[row]] += 1
        if seen[labels[row]] > known:
            labels[row] = None
    texts, times = columns["text"].to_pylist(), columns["at"].astype("datetime64[us]").tolist()
    rows = [{"at": at, "text": text, name: label} for at, text, label in zip(times, texts, labels, strict=True)]
    return mt.Data({event: rows})


def cases(sample: int, asked: int) -> dict[str, tuple[str, mt.Category, mt.Category, mt.Data, int, int]]:
    """By name: what is distilled, the teacher, the student, the data, how many texts are labelled, how many asked."""
    from examples.intents.graph import PATIENCE, Mood, Query, Review, data, embed, llm, reviews

    moods = mt.Classify()(Review.text, embed(Review.text), target=Review.mood).label
    intents = mt.Classify()(embed(Query.text), target=Query.intent).label
    zero = mt.Extract(llm, Mood, seconds=PATIENCE)(Review.text, target=Review.mood).mood
    shots = mt.FewShot(llm, seconds=PATIENCE)(Query.text, near=embed(Query.text), target=Query.intent).label
    mood_by_words = mt.Classify()(Review.text, target=Review.mood).label
    mood_by_meaning = mt.Classify()(embed(Review.text), target=Review.mood).label
    intent_by_words = mt.Classify()(Query.text, target=Query.intent).label
    some, few, none = (hidden(reviews(), Review, "mood", n) for n in (250, 50, 0))
    ten, five = (hidden(data(), Query, "intent", n) for n in (10, 5))
    return {
        "moods": (
            "sst2, 500 labels known: words and meaning teach words",
            *(moods, mood_by_words, some, EVERYTHING, EVERYTHING),
        ),
        "moods, few": (
            "sst2, 100 labels known: words and meaning teach words",
            *(moods, mood_by_words, few, EVERYTHING, EVERYTHING),
        ),
        "intents": (
            "banking77, 770 labels known: meaning teaches words",
            *(intents, intent_by_words, ten, EVERYTHING, EVERYTHING),
        ),
        "moods, no labels": (
            "sst2, no label known: SmolLM2 teaches meaning",
            *(zero, mood_by_meaning, none, sample, asked),
        ),
        "intents, 8 shots": (
            "banking77, 385 labels known: SmolLM2 with 8 shots teaches meaning",
            *(shots, intents, five, sample, asked),
        ),
    }


def measured(
    title: str,
    teacher: mt.Category,
    student: mt.Category,
    everything: mt.Data,
    sample: int,
    asked: int,
    folder: Path,
) -> dict[str, Any]:
    from examples.intents.graph import TESTED_FROM
    from examples.intents.report import first

    train, whole = everything.split(at=TESTED_FROM)
    test = first(whole, asked)
    graph = mt.Graph(label=mt.distill(teacher, student, sample=sample))
    found = graph.distill(train, test, WORTH, PRICES, requests=REQUESTS, store=folder, quiet=True)
    print(f"{title}\n{found}", flush=True)
    said = {**found.to_dict(), "pays_above": pays_above(found), "alone": alone(found, student, train, test, folder)}
    above = said["pays_above"]
    pays = (
        "at no worth of a label" if above is None else f"where a right label is worth {above:.2g} more than a wrong one"
    )
    print(f"the teacher pays {pays}\n", flush=True)
    return said


def pays_above(found: Distilled[mt.Graph]) -> float | None:
    """What a right label must be worth above a wrong one for the teacher's quality to be worth its cost."""
    lost = found.lost.value if found.lost is not None else None
    more = found.teacher.bill.total - found.student.bill.total
    return None if lost is None or lost <= 0 else max(0.0, more / 1_000 / lost)


def alone(
    found: Distilled[mt.Graph], student: mt.Category, train: mt.Data, test: mt.Data, folder: Path
) -> dict[str, Any] | None:
    """The student fitted to the labels that are known; None where there are none."""
    try:
        untaught = mt.Graph(label=student).fit(train, store=folder, quiet=True).evaluate(test)
    except mt.RunError:
        print("the student without a teacher has nothing to learn from")
        return None
    ours = found.with_student.fit(train, store=folder, quiet=True).evaluate(test)
    (gap,) = ours.against(untaught)
    accuracy = untaught.figure("label", "accuracy")
    print(f"the student without a teacher: accuracy {accuracy}; taught it is higher by {gap.estimate}")
    return {
        "accuracy": accuracy.value,
        "higher": gap.estimate.value,
        "low": gap.estimate.low,
        "high": gap.estimate.high,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--asked", type=int, default=300, help="texts of the test part that the language model answers")
    parser.add_argument("--sample", type=int, default=400, help="texts that it labels")
    parser.add_argument("--only", help="the name of one case")
    given = parser.parse_args()
    os.environ["MOTET_DATA"] = str(given.data)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the examples are no part of the package
    chosen = {n: case for n, case in cases(given.sample, given.asked).items() if given.only in (None, n)}
    with tempfile.TemporaryDirectory() as folder:
        found = {name: measured(*case, folder=Path(folder) / name) for name, case in chosen.items()}
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
