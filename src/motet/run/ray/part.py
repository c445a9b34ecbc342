"""What crosses to a worker: a model's call without its graph, and what came of it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from motet import loading
from motet.apply import Apply, Fit
from motet.cost import Cost
from motet.errors import RunError
from motet.model import Model
from motet.node import Grain
from motet.run.runner import Local

MISSING = re.compile(r"No module named '([^']+)'")


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


@dataclass(frozen=True)
class Sent:
    """A value in Ray's object store, and where its classes are found: what this process imports, workers can.

    folder: that this process is in. files: of graphs, which have no place on the path.
    """

    where: list[Any]
    path: list[str]
    folder: str
    files: list[str]

    @staticmethod
    def of(ray: Any, value: Any) -> Sent:
        path = [str(Path(folder).absolute()) for folder in sys.path]
        return Sent([ray.put(value)], path, str(Path.cwd()), list(loading.LOADED))

    def opened(self) -> Any:
        """Errors: a module that the value needs is not there."""
        import ray

        sys.path += [folder for folder in self.path if folder not in sys.path and Path(folder).exists()]
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        for file in self.files:
            loading.module(file)
        kept: Any = ray
        try:
            return kept.get(self.where[0])
        except kept.exceptions.RaySystemError as error:
            missing = MISSING.search(str(error))
            if missing is None:
                raise
            raise RunError(
                f"workers cannot import {missing[1]!r}", help='mt.Ray(working_dir="."): that folder goes to every node'
            ) from None


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
