"""A graph with something else in some places: what reads it is made anew, all other nodes stay as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from motet.apply import Whole
from motet.node import Column, Node

C = TypeVar("C", bound=Column)


class Rewrite:
    """swaps: what stands where a node stood, by the old one's fingerprint."""

    def __init__(self, swaps: Mapping[str, Node]) -> None:
        self._made = dict(swaps)

    def column(self, column: C) -> C:
        """The same column of the new graph; of the same kind, even where it reads another node."""
        node = self.node(column.node)
        return column if node is column.node else dataclasses.replace(column, node=node)

    def node(self, node: Node) -> Node:
        if node.fingerprint not in self._made:
            parts = {f.name: getattr(node, f.name) for f in dataclasses.fields(node) if f.init}
            new = {name: self._value(part) for name, part in parts.items()}
            same = all(new[name] is part for name, part in parts.items())
            self._made[node.fingerprint] = node if same else dataclasses.replace(node, **new)
        return self._made[node.fingerprint]

    def _value(self, value: Any) -> Any:
        """A part of a node, itself where nothing in it is new."""
        match value:
            case Column():
                return self.column(value)
            case Node():
                return self.node(value)
            case Whole(column=column):
                new = self.column(column)
                return value if new is column else Whole(new)
            case tuple():
                old = cast("tuple[Any, ...]", value)
                new = tuple(self._value(each) for each in old)
                return old if all(a is b for a, b in zip(new, old, strict=True)) else new
            case Mapping():
                old = cast("Mapping[str, Any]", value)
                new = {name: self._value(each) for name, each in old.items()}
                return old if all(new[name] is old[name] for name in new) else new
            case _:
                return value
