"""Who does the models' work, and what is said when one fails."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import motet as mt
from motet.apply import Apply
from motet.batch import Batch
from motet.clock import once
from motet.cost import Cost
from motet.llm import Prompt, carried
from motet.models.content.extract import Extract
from motet.models.content.shots import FewShot
from motet.run.runner import Local
from tests.llm.test_openai import chat, serving
from tests.probe import Probe
from tests.shop import Purchase, shop


def test_a_model_that_fails_is_named_with_the_line_of_its_file(tmp_path: Path) -> None:
    broken = Probe("broken", fails=True)(Purchase.amount, at=Purchase.at, target=Purchase.stars)
    with pytest.raises(mt.RunError, match=r"failed: ValueError: the probe fails") as raised:
        mt.Graph(broken=broken).fit(shop(), store=tmp_path, quiet=True)
    file, _, line = raised.value.help.removeprefix("look at ").rpartition(":")
    assert "the probe fails" in Path(file).read_text().splitlines()[int(line) - 1]


@dataclass(frozen=True)
class Asking(mt.Model):
    """Asks a language model once for each row."""

    llm: mt.LLM

    def __call__(self, text: mt.Text) -> mt.Text:
        return mt.column(mt.Text, self, text=text)

    def apply(self, state: mt.State, batch: Batch) -> pa.Array:
        prompts = [Prompt(text) for text in batch["text"].to_pylist()]
        return pa.array([r.text for r in self.llm.open().complete(prompts, max_tokens=5)], pa.large_string())


class Year(mt.Record):
    year: mt.Number


SAID = {"year": 1, "label": "one"}


def by_length(request: dict[str, Any], number: int) -> Any:
    """An answer that has read as many tokens as the user wrote characters, and has written two."""
    read = len(request["messages"][-1]["content"])
    body = json.loads(chat(json.dumps(SAID)))
    return 200, {}, json.dumps(body | {"usage": {"prompt_tokens": read, "completion_tokens": 2}}).encode()


def applied(model: mt.Model, state: mt.State, batch: Batch, spent: list[Cost]) -> None:
    node = Apply(model, {"text": Purchase.search})
    Local(lambda node, cost: spent.append(cost)).apply(node, state, batch)


def texts(*said: str) -> Batch:
    near = np.ones((len(said), 1), np.float32)
    return Batch({"text": pa.array(said, pa.large_string()), "near": near}, rows=len(said))


def test_calls_at_the_same_time_are_billed_for_their_own_tokens() -> None:
    together = threading.Barrier(2)

    def answer(request: dict[str, Any], number: int) -> Any:
        together.wait(10)
        return by_length(request, number)

    with serving(answer) as url:
        llm, short, long = mt.LLM("shared", url=url, parallel=2), list[Cost](), list[Cost]()
        calls = [(texts("a" * 10, "b" * 11, "c" * 12), short), (texts(*["d" * 500] * 3), long)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda call: applied(Asking(llm), mt.State(), *call), calls))
        total = llm.open().usage
    assert [(c.calls, c.tokens_in, c.tokens_out) for c in short + long] == [(1, 33, 6), (1, 1500, 6)]
    assert (total.tokens_in, total.tokens_out) == (1533, 12)


STATE = mt.State(texts=["x", "y"], labels=["one", "two"], near=np.ones((2, 1), np.float32))


@pytest.mark.parametrize(
    "made",
    [
        lambda llm: Extract(llm, Year),
        lambda llm: Extract(llm, Year, seconds=5),
        lambda llm: FewShot(llm, shots=2, seconds=5),
    ],
    ids=["Extract", "Extract in time", "FewShot"],
)
def test_tokens_are_billed_to_the_model_whatever_threads_it_works_with(made: Any) -> None:
    spent: list[Cost] = []
    with serving(by_length) as url:
        llm = mt.LLM(f"threads of {made}", url=url)
        applied(made(llm), STATE, texts("a text", "another"), spent)
        total = llm.open().usage
    (cost,) = spent
    assert (cost.calls, cost.rows) == (1, 2)
    assert (cost.tokens_in, cost.tokens_out) == (total.tokens_in, total.tokens_out)
    assert cost.tokens_in >= len("a text" + "another")


class Mood(mt.Record):
    mood: mt.Category = mt.labels("glad", "sad")


def test_what_a_language_model_is_asked_once_a_process_is_charged_to_no_call() -> None:
    spent: list[Cost] = []
    said = {"usage": {"prompt_tokens": 100, "completion_tokens": 10}}
    answer = json.dumps(json.loads(chat(json.dumps({"mood": "glad"}))) | said).encode()
    with serving(lambda request, number: (200, {}, answer)) as url:
        llm = mt.LLM("without probabilities", url=url)
        applied(Extract(llm, Mood), STATE, texts("a text", "another"), spent)
        assert llm.open().usage.prompts == 3, "a try at probabilities, and two texts"
    (cost,) = spent
    assert (cost.rows, cost.tokens_in, cost.tokens_out) == (2, 200, 20)


@dataclass(frozen=True)
class Impatient(Asking):
    """Waits for nothing that it asks."""

    def apply(self, state: mt.State, batch: Batch) -> pa.Array:
        threading.Thread(target=carried(super().apply), args=(state, batch)).start()
        return batch["text"]


def test_tokens_that_are_used_after_a_call_are_billed_to_it_too() -> None:
    spent: list[Cost] = []
    with serving(by_length, pause=0.2) as url:
        applied(Impatient(mt.LLM("later", url=url)), mt.State(), texts("a" * 40), spent)
        assert [(c.calls, c.rows, c.tokens_in) for c in spent] == [(1, 1, 0)]
        until = time.monotonic() + 10
        while len(spent) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert spent[1:] == [Cost(tokens_in=40, tokens_out=2)]


@dataclass(frozen=True)
class Large(mt.Model):
    """Takes 50 MB for a moment."""

    def __call__(self, amount: mt.Number) -> mt.Number:
        return mt.column(mt.Number, self, mt.learn(self, amount=amount), amount=amount)

    def fit(self, batch: Batch, target: Any) -> mt.State:
        return mt.State(sum=float(np.ones(50_000_000, np.uint8)[-1]))

    def apply(self, state: mt.State, batch: Batch) -> np.ndarray:
        return batch["amount"] + np.ones(50_000_000, np.uint8)[-1]


def test_memory_is_metered_offline_and_nobody_waits_for_that_online() -> None:
    node, spent = Large()(Purchase.amount).node, list[Cost]()
    assert isinstance(node, Apply)
    for online in (False, True):
        runner = Local(lambda node, cost: spent.append(cost), online)
        runner.apply(node, mt.State(), Batch({"amount": np.ones(3)}, rows=3))
    assert spent[0].peak_bytes == pytest.approx(50e6, rel=0.2)
    assert spent[1].peak_bytes is None


def test_a_fit_is_told_with_what_it_took() -> None:
    node = Large()(Purchase.amount).node
    assert isinstance(node, Apply)
    assert node.fit is not None
    state, cost = Local().fit(node.fit, Batch({"amount": np.ones(3)}, rows=3), None)
    assert state["sum"] == 1.0
    assert (cost.calls, cost.rows) == (1, 3)
    assert cost.peak_bytes == pytest.approx(50e6, rel=0.2)


@dataclass(frozen=True)
class Loading(mt.Model):
    """Loads something for a while, and opens its state for a while."""

    def apply(self, state: mt.State, batch: Batch) -> pa.Array:
        state.opened(slow)
        with once():
            return slow(state) or batch["text"]


def slow(state: mt.State) -> None:
    time.sleep(0.2)


@pytest.mark.parametrize("online", [False, True])
def test_what_a_process_loads_once_is_in_the_cost_of_no_call(online: bool) -> None:
    spent: list[Cost] = []
    node = Apply(Loading(), {"text": Purchase.search})
    Local(lambda node, cost: spent.append(cost), online).apply(node, mt.State(), texts("a"))
    (cost,) = spent
    assert 0 < cost.seconds < 0.1


def test_a_call_that_failed_has_cost_what_it_took_and_made_no_rows() -> None:
    spent: list[Cost] = []
    with pytest.raises(mt.RunError):
        applied(Probe("broken"), mt.State(), texts("a"), spent)
    (cost,) = spent
    assert (cost.calls, cost.rows) == (1, 0)
    assert cost.seconds > 0
