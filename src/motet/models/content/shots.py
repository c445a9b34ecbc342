"""The label of a text, by a language model that is shown the most similar texts whose label is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any, ClassVar

import numpy as np

from motet.batch import Array, Batch, Codes, take
from motet.column import Category, Column, Text, Vector, column, learn
from motet.errors import GraphError, RunError
from motet.llm import LLM, PACKAGED, Client, Prompt, carried
from motet.model import Model, State
from motet.models.behavior.outcome import check_frame, checked, outcome
from motet.models.content import fields
from motet.models.content.classify import Labelled
from motet.models.content.extract import NO_TEXT, Read
from motet.models.content.fields import Wanted
from motet.record import filled

Said = tuple[str | None, float, str | None, bool]
"""A label, how sure it is, and where there is none: why, and whether that may pass."""

LABELLED = fields.wanted(Labelled)


@dataclass(frozen=True)
class FewShot(Model):
    """One label out of those of the `shots` nearest training texts, which the language model is shown with theirs.

    The labels are scored, not generated: one forward pass for each token at which they part. An endpoint that gives no
    probabilities writes one of them, and its confidence is missing.

    shots: how many texts are shown, the nearest last. seconds: the most that one text may take; needed on the request
    path. characters: of a text that are read.
    Call: FewShot(llm, seconds=2)(Query.text, near=embed(Query.text), target=Query.intent). near: vectors whose dot
        product says how similar two texts are. Returns Labelled; its confidence is among the labels that were shown.
    Errors: RunError when no training row has a label, or the model or its endpoint cannot answer at all;
        `otherwise` then answers.
    Source: Liu et al. 2022 (arXiv 2101.06804) for showing the nearest.
    """

    llm: LLM
    shots: int = 8
    seconds: float | None = None
    characters: int = 500

    costly: ClassVar[bool] = True
    calls_llm: ClassVar[bool] = True
    deep: ClassVar[bool] = True
    packaged: ClassVar[tuple[str, ...]] = PACKAGED

    def __post_init__(self) -> None:
        checked(self, "shots", 1)
        checked(self, "characters", 1)
        if self.seconds is not None and not self.seconds > 0:
            raise GraphError(f"nothing is answered within {self.seconds} seconds", help="FewShot(llm, seconds=2)")

    def __call__(self, text: Text, near: Vector, target: Category) -> Labelled:
        wanted = outcome(self, target, (Category,))
        fit = learn(self, target=wanted, text=text, near=near)
        check_frame(self, fit)
        return filled(Labelled, column(Column, self, fit, text=text, near=near))

    def fit(self, batch: Batch, target: Any) -> State:
        labels: Codes = target
        near: Array = batch["near"]
        rows = np.flatnonzero((labels.codes >= 0) & near.any(axis=1))
        if not len(rows):
            raise RunError(
                f"{self} has no text to show: none of {batch.rows} has a label and a vector",
                help="train on events whose outcome is known",
            )
        texts: list[str] = take(batch["text"], rows).to_pylist()
        names: list[str] = labels.names.tolist()
        codes: list[int] = labels.codes[rows].tolist()
        said = [names[code] for code in codes]
        return State(texts=[(text or "")[: self.characters] for text in texts], labels=said, near=near[rows])

    def apply(self, state: State, batch: Batch) -> Read:
        texts: list[str] = [(text or "")[: self.characters] for text in batch["text"].to_pylist()]
        seconds = self.seconds if batch.seconds is None else batch.seconds
        shown = _nearest(batch["near"], state["near"], self.shots)
        client = self.llm.open()

        def one(i: int) -> Said:
            return _said(client, texts[i], _examples(state, shown[i]), seconds, batch.left)

        pool, rounds = ThreadPoolExecutor(client.parallel), -(-len(texts) // client.parallel)
        try:
            most = None if seconds is None else seconds * rounds
            found = list(pool.map(carried(one), range(len(texts)), timeout=most))
        except TimeoutError:
            found = [(None, np.nan, f"not there within {seconds:g} s", True)] * len(texts)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return _read(found)

    def identity(self) -> str:
        return super(FewShot, dataclasses.replace(self, seconds=None)).identity()  # a deadline changes no value


def _nearest(asked: Array, known: Array, shots: int) -> Array:
    """The rows most similar to each one asked, the nearest last; of equals the earlier: int64 [asked, shots]."""
    order = np.argsort(-(asked @ known.T), axis=1, kind="stable")
    return order[:, :shots][:, ::-1]


def _examples(state: State, rows: Array) -> list[tuple[str, str]]:
    return [(state["texts"][row], state["labels"][row]) for row in rows]


def _said(
    client: Client, text: str, shown: Sequence[tuple[str, str]], seconds: float | None, left: Event | None
) -> Said:
    if not text.strip():
        return None, np.nan, NO_TEXT.problem, False
    labels = tuple(dict.fromkeys(label for _, label in reversed(shown)))  # of equally likely ones, the nearest text's
    if len(labels) == 1:
        return labels[0], 1.0, None, False
    before = "".join(f"Text: {example}\nLabel: {label}\n\n" for example, label in shown)
    prompt = Prompt("Name the label of each text.", start=f"{before}Text: {text}\nLabel:")
    scores = client.score([prompt], labels)
    if scores is not None and np.isfinite(scores).all():
        return labels[int(scores[0].argmax())], float(np.exp(scores[0].max())), None, False
    asked = (Wanted("label", Category, labels),)
    request = Prompt(f"{before}Text: {text}", "Name the label of the last text, as JSON.")
    shape, most = fields.schema(asked), fields.most_tokens(asked)
    (reply,) = client.complete([request], max_tokens=most, schema=shape, seconds=seconds, left=left)
    if reply.problem:
        return None, np.nan, reply.problem, reply.passing
    return json.loads(reply.text)["label"], np.nan, None, False


def _read(found: Sequence[Said]) -> Read:
    rows = [{"label": label, "confidence": sure} for label, sure, _, _ in found]
    return Read(fields.columns(LABELLED, rows), [why for _, _, why, _ in found], [again for *_, again in found])
