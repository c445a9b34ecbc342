"""Versions that answered are judged by what was taken afterwards, and only where their log can tell."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import motet as mt
from motet.served import Served, served
from tests.shop import Item, Purchase

graph = mt.Graph(
    top=mt.retrieve(Item, k=3, by=[mt.Popular()(Purchase.item)], exclude=mt.past(Purchase.item, by=Purchase.buyer))
)
START = 1_700_000_000.0


def logged(viewers: int = 600, share: float = 0.5, hits: tuple[float, float] = (0.1, 0.3), seed: int = 0):
    """What two versions answered, one ask a viewer a day for five days, and what was bought within the hour."""
    rng = np.random.default_rng(seed)
    answers: list[dict[str, Any]] = []
    happened: list[dict[str, Any]] = []
    for viewer in range(viewers):
        version = int(rng.random() < share)
        for day in range(5):
            at = START + day * 86_400 + viewer
            items = rng.choice(12, 3, replace=False).tolist()
            took = items[0] if rng.random() < hits[version] else next(i for i in range(12) if i not in items)
            answers.append(
                {
                    "at": at,
                    "version": version + 1,
                    "propensity": share if version else 1 - share,
                    "ask": {"buyer": f"b{viewer}"},
                    "answer": {"top": [{"item_id": item, "score": 1.0} for item in items]},
                }
            )
            happened.append({"buyer": f"b{viewer}", "at": at + 60, "item": took})
    return answers, happened


def judged(folder: Path, answers: list[dict[str, Any]], happened: list[dict[str, Any]], **asked: Any) -> Served:
    file = folder / "answers.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in answers))
    return served(graph, file, happened, 0.02, within=3_600, **asked)


def test_each_version_is_worth_what_it_would_be_for_all(tmp_path: Path) -> None:
    found = judged(tmp_path, *logged())
    for version, rate in ((1, 0.1), (2, 0.3)):
        estimate = found.values[version].estimate
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low < 1_000 * 0.02 * rate < estimate.high
    gap = found.differences[3 - found.most].anytime
    assert gap.sure
    assert gap.value == pytest.approx((1 if found.most == 1 else -1) * 4.0, abs=1.0)
    assert "n=3,000" in str(found)


def test_only_what_is_taken_in_time_by_who_asked_counts(tmp_path: Path) -> None:
    answers, happened = logged()
    late = [row | {"at": row["at"] + 7_200} for row in happened]
    others = [row | {"buyer": "nobody"} for row in happened]
    for rows in (late, others):
        assert judged(tmp_path, answers, rows).values[1].estimate.value == 0


def test_a_version_that_only_answered_before_another_cannot_be_judged(tmp_path: Path) -> None:
    answers, happened = logged()
    for line in answers:
        line["propensity"] = 1.0
    with pytest.raises(mt.DataError, match="weight"):
        judged(tmp_path, answers, happened)


@pytest.mark.parametrize("gone", ["propensity", "version", "answer"])
def test_a_log_that_lacks_something_is_refused(tmp_path: Path, gone: str) -> None:
    answers, happened = logged(10)
    del answers[3][gone]
    with pytest.raises(mt.DataError, match=r"line 4 of answers\.jsonl"):
        judged(tmp_path, answers, happened)


def test_what_no_output_answers_cannot_be_taken(tmp_path: Path) -> None:
    with pytest.raises(mt.DataError, match="answers items"):
        judged(tmp_path, *logged(10), output="tops")
    with pytest.raises(mt.DataError, match="there is no file"):
        served(graph, tmp_path / "nothing.jsonl", [], 0.02)
