"""The models of a graph that can be used by themselves: its language models and its embedders."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from motet.apply import Apply
from motet.batch import Array, Batch
from motet.column import Column, Text, Vector
from motet.llm import LLM
from motet.model import NOTHING
from motet.record import Field
from motet.serve.version import Version


def llms(version: Version) -> dict[str, LLM]:
    """The language models by their names; of two with one name, the one that is used first."""
    found: dict[str, LLM] = {}
    for column in version.outline.answering:
        llm = getattr(column.node.model, "llm", None) if isinstance(column.node, Apply) else None
        if isinstance(llm, LLM):
            found.setdefault(llm.model, llm)
    return found


def embedders(version: Version) -> dict[str, Apply]:
    """What makes a Vector of one Text, by the model's own name, or by what the author calls the column."""
    found: dict[str, Apply] = {}
    for column in version.outline.answering:
        node = column.node
        if isinstance(column, Vector) and isinstance(node, Apply) and _reads_one_text(node):
            name = getattr(node.model, "name", None)
            found.setdefault(name if isinstance(name, str) else version.outline.name(column), node)
    return found


def _reads_one_text(node: Apply) -> bool:
    args = list(node.args.values())
    return len(args) == 1 and isinstance(args[0], Text) and node.chosen_among is None


def embedded(version: Version, node: Apply, texts: Sequence[str]) -> Array:
    """The texts' vectors: float32 [texts, width]."""
    state = version.context.states[node.fit.fingerprint] if node.fit else NOTHING
    (name,) = node.args
    return version.context.runner.apply(node, state, Batch({name: pa.array(texts, pa.large_string())}, rows=len(texts)))


def first_text(version: Version) -> str | None:
    """The field of the event that a question is: its first Text that is no outcome."""
    fields, specs = version.event.fields, version.event.specs
    return next((name for name, kind in fields.items() if kind is Text and not specs[name].outcome), None)


def conversation(version: Version) -> str | None:
    """The field of the event that a model reads as a conversation, turn by turn."""
    for column in version.outline.answering:
        node = column.node
        if isinstance(node, Apply) and node.model.reads_turns:
            read = [arg.node for arg in node.args.values() if isinstance(arg, Text) and isinstance(arg.node, Field)]
            return next((field.name for field in read if field.record is version.event), None)
    return None


def early_texts(version: Version) -> list[str]:
    """The outputs that are texts and there at once, in their order."""
    outputs: dict[str, Column] = dict(version.outline.answered)
    return [name for name, column in outputs.items() if isinstance(column, Text) and name not in version.late]


def late_text(version: Version) -> str | None:
    """The output that is written for people: the first late Text."""
    outputs: dict[str, Column] = dict(version.outline.answered)
    return next((name for name, column in outputs.items() if isinstance(column, Text) and name in version.late), None)
