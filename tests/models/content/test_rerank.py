"""A language model orders few candidates; one that says what it is told to, behind a URL."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import motet as mt
from motet.batch import Batch
from motet.errors import GraphError, RunError
from motet.graph import Graph
from motet.model import NOTHING
from tests.llm.test_openai import chat, serving
from tests.shop import Item, Purchase, shop

found = mt.retrieve(Item, k=200, by=[mt.Popular()(Purchase.item)], exclude=mt.past(Purchase.item, by=Purchase.buyer))


def likes_pots(request: Any, n: int = 0) -> Any:
    """Sure that a pot is the answer, and nothing else."""
    yes = "number" in request["messages"][-1]["content"].partition("Text: pot")[2]
    top = [{"token": "yes", "logprob": -0.1 if yes else -3.0}, {"token": "no", "logprob": -3.0 if yes else -0.1}]
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    logprobs = {"content": [{"token": "yes", "logprob": -0.1, "top_logprobs": top}]}
    return 200, {}, json.dumps({"choices": [{**choice, "logprobs": logprobs}]}).encode()


def table(*pairs: tuple[str, str | None]) -> Batch:
    columns = zip(*pairs, strict=True)
    made = {n: pa.array(v, pa.large_string()) for n, v in zip(("query", "text"), columns, strict=True)}
    return Batch(made, rows=len(pairs))


def test_what_the_model_finds_the_answer_comes_first(tmp_path: Path) -> None:
    with serving(likes_pots) as url:
        best = mt.Rerank(mt.LLM("any", url=url))(found.top(6), Purchase.search, Item.name).top(3)
        fitted = Graph(best=best).fit(shop(events=60), store=tmp_path, quiet=True)
        listed = fitted.ask(buyer="new", search="a pot", amount=1)["best"]
    pots = [each for each in listed if each["name"].startswith("pot")]
    assert pots
    assert listed[: len(pots)] == pots
    assert [each["score"] > 0.5 for each in listed] == [True] * len(pots) + [False] * (3 - len(pots))


def test_a_candidate_without_a_text_is_not_asked_about() -> None:
    with serving(likes_pots) as url:
        scores = mt.Rerank(mt.LLM("any", url=url)).apply(NOTHING, table(("a", "pot number 1"), ("a", None), ("a", " ")))
    assert scores[0] > 0.9
    assert [score != score for score in scores.tolist()] == [False, True, True]


def test_late_away_or_without_probabilities_is_answered_otherwise(tmp_path: Path) -> None:
    def slow(request: Any, n: int) -> Any:
        time.sleep(1)
        return likes_pots(request)

    def mute(request: Any, n: int) -> Any:
        return 200, {}, chat("yes")

    for way, says in ((slow, "not there within 0.2 s"), (mute, "gives no probabilities")):
        with serving(way) as url:
            rerank = mt.Rerank(mt.LLM("any", url=url, retries=0), seconds=0.2 if way is slow else 2)
            with pytest.raises(RunError, match=says):
                rerank.apply(NOTHING, table(("a", "pot")))
            few = found.top(3)
            graph = Graph(best=rerank(few, Purchase.search, Item.name).otherwise(few), few=few)
            answer = graph.fit(shop(events=60), store=tmp_path, quiet=True).ask(buyer="new", search="a", amount=1)
        assert answer["best"] == answer["few"]


def test_many_candidates_and_no_time_are_refused() -> None:
    llm = mt.LLM("smollm2-135m")
    with pytest.raises(GraphError, match=r"about 200 candidates(.|\n)*found\.top\(20\)"):
        mt.Rerank(llm)(found, Purchase.search, Item.name)
    with pytest.raises(GraphError, match="within 0 seconds"):
        mt.Rerank(llm, seconds=0)
    price: Any = Item.price
    with pytest.raises(GraphError, match="reads text as Text"):
        mt.Rerank(llm)(found.top(3), Purchase.search, price)
    assert mt.Rerank(llm, seconds=9).identity() == mt.Rerank(llm).identity()


def test_the_packaged_model_scores_every_candidate() -> None:
    rerank = mt.Rerank(mt.LLM("smollm2-135m"), seconds=120)
    scores = rerank.apply(
        NOTHING, table(("a film about sharks", "Sharks attack a beach."), ("a", "A recipe for bread."))
    )
    assert ((scores > 0) & (scores < 1)).all()
