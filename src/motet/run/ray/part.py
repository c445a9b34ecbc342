"""What crosses to a worker: a model's call without its graph, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from motet.apply import Apply, Fit
from motet.cost import Cost
from motet.model import Model
from motet.node import Grain
from motet.run.runner import Local


@dataclass(frozen=True)
class Part:
    """What a runner needs of a node: its model, its name for errors, and whether it has rows."""

    model: Model
    name: str
    grain: Grain

    @staticmethod
    def of(node: Apply | Fit) -> Part:
        return Part(node.model, node.label(), frozenset(("rows",)) if node.grain else frozenset())  # pyright: ignore

    def label(self) -> str:
        return self.name


@dataclass
class Metered:
    """Runs calls where it is and remembers what they took. Tokens that are used after a call are not seen."""

    costs: list[Cost] = field(default_factory=list[Cost])

    @property
    def local(self) -> Local:
        return Local(lambda node, cost: self.costs.append(cost))

    def apply(self, part: Part, *args: Any) -> Any:
        return self.local.apply(cast(Apply, part), *args)

    def fit(self, part: Part, *args: Any) -> Any:
        return self.local.fit(cast(Fit, part), *args)
