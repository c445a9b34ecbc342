"""Who does the models' work, and what is said when one fails."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

import motet as mt
from motet.apply import Apply
from motet.batch import Batch
from motet.cost import Cost
from motet.llm import Prompt
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


def test_tokens_of_whatever_model_calls_a_language_model_are_metered() -> None:
    spent: list[Cost] = []
    with serving(lambda request, number: (200, {}, chat("said"))) as url:
        node = Asking(mt.LLM("asked", url=url))(Purchase.search).node
        assert isinstance(node, Apply)
        batch = Batch({"text": pa.array(["a", "b"], pa.large_string())}, rows=2)
        Local(lambda node, cost: spent.append(cost)).apply(node, mt.State(), batch)
    (cost,) = spent
    assert (cost.calls, cost.rows, cost.tokens_in, cost.tokens_out) == (1, 2, 14, 4)
