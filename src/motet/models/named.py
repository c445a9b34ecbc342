"""Columns given by names that somebody else chose: a file's inputs, a module's arguments, a frame's columns."""

from __future__ import annotations

import keyword
from collections.abc import Collection, Sequence
from typing import Any

from motet.errors import GraphError, listed


def check_names(model: Any, noun: str, given: Collection[str], known: Sequence[str], needed: Sequence[str]) -> None:
    """Errors: one that is not there, or one that is needed and not given. noun: what the model calls one of them."""
    odd = next((name for name in given if name not in known), None)
    gone = next((name for name in needed if name not in given), None)
    help = f"{model}({written(needed)})"
    if odd is not None:
        raise GraphError(f"{model} has no {noun} {odd!r}; {listed(known, odd)}", help)
    if gone is not None:
        raise GraphError(f"{model} is not given its {noun} {gone!r}; {listed(known)}", help)


def written(names: Sequence[str]) -> str:
    """The arguments of a call that gives these names."""
    if all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
        return ", ".join(f"{name}=..." for name in names)
    return "**{" + ", ".join(f'"{name}": ...' for name in names) + "}"
