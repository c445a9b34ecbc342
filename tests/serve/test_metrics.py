"""What the models of a server have cost: also the calls that failed, and those that came too late."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

import motet as mt
from motet.batch import Array, Batch
from motet.column import Unready
from motet.llm import Prompt
from tests.llm.test_openai import serving
from tests.run.test_runner import by_length
from tests.serve.served import Served, gated, prepared
from tests.shop import Purchase


@dataclass(frozen=True)
class Echo(mt.Model):
    """What a language model says to each text, late."""

    llm: mt.LLM

    def __call__(self, text: mt.Text) -> mt.Late[mt.Text]:
        return mt.Late(mt.Text, mt.column(Unready, self, text=text))

    def apply(self, state: mt.State, batch: Batch) -> pa.Array:
        prompts = [Prompt(text) for text in batch["text"].to_pylist()]
        return pa.array([r.text for r in self.llm.open().complete(prompts, max_tokens=5)], pa.large_string())


@dataclass(frozen=True)
class Thirteen(mt.Model):
    """Fails at 13."""

    def __call__(self, amount: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, amount=amount)

    def apply(self, state: mt.State, batch: Batch) -> Array:
        if (batch["amount"] == 13).any():
            raise mt.RunError("thirteen")
        return batch["amount"]


def counted(running: Served, name: str, *labels: str) -> float:
    lines = running.call("GET", "/metrics").body.decode().splitlines()
    found = [
        line for line in lines if line.startswith(f"motet_{name}_total{{") and all(each in line for each in labels)
    ]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()


def test_tokens_are_counted_by_the_model_that_used_them(tmp_path: Path) -> None:
    with serving(by_length) as url:
        llm = mt.LLM("counted", url=url)
        short, long = Echo(llm)(Purchase.search), Echo(llm)("a longer question about " + Purchase.search)
        said = {"short": short.within(seconds=5, otherwise=""), "long": long.within(seconds=5, otherwise="")}
        with gated(prepared(tmp_path, mt.Graph(**said))) as running:
            assert running.ask(buyer="b1", amount=3.0, search="a lamp").status == 200
            assert within(5, lambda: counted(running, "model_tokens", "long", 'direction="in"') == 30)
            assert counted(running, "model_tokens", "short", 'direction="in"') == 6
            assert counted(running, "model_tokens", 'direction="out"') == 4
            assert counted(running, "llm_tokens", 'direction="in"') > 36, "the dry run has cost something too"


def test_a_call_that_is_cut_off_at_its_deadline_is_counted_when_it_ends(tmp_path: Path) -> None:
    with serving(by_length, pause=1.0) as url:
        echo = Echo(mt.LLM("late", url=url))(Purchase.search).within(seconds=0.3, otherwise="nothing yet")
        with gated(prepared(tmp_path, mt.Graph(said=echo))) as running:
            assert running.ask(buyer="b1", amount=3.0, search="a lamp").json["answer"]["said"] == "nothing yet"
            assert counted(running, "model_calls") == 0
            assert within(10, lambda: counted(running, "model_tokens", 'direction="in"') == 6)
            assert counted(running, "model_calls") == 1
            assert counted(running, "model_seconds") > 0.9


def test_calls_of_a_batch_that_failed_are_counted(tmp_path: Path) -> None:
    with gated(prepared(tmp_path, mt.Graph(amount=Thirteen()(Purchase.amount)))) as running:
        assert running.ask(buyer="b1", amount=13.0).status == 503
        assert within(5, lambda: counted(running, "model_calls") == 1)
        assert counted(running, "model_rows") == 0
        assert running.ask(buyer="b1", amount=3.0).status == 200
        assert within(5, lambda: counted(running, "model_calls") == 2)
        assert counted(running, "model_rows") == 1
