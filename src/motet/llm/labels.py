"""Labels as paths of tokens: where they part, one look at the next token's probabilities tells them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Path = tuple[int, ...]
Look = Callable[[Path, Sequence[int]], NDArray[np.float64]]


@dataclass(frozen=True)
class Fork:
    """Tokens that all its labels share, and the tokens that may come next: which labels go where."""

    shared: Path
    ways: dict[int, tuple[int, ...]]


def forks(labels: Sequence[Path]) -> tuple[Fork, ...]:
    """Where the labels part. No label may be the beginning of another: end each with the same token."""
    found: list[Fork] = []
    pending = [(0, tuple(range(len(labels))))]
    while pending:
        depth, group = pending.pop()
        if len(group) < 2:
            continue
        ways: dict[int, tuple[int, ...]] = {}
        for label in group:
            token = labels[label][depth]
            ways[token] = (*ways.get(token, ()), label)
        if len(ways) > 1:
            found.append(Fork(labels[group[0]][:depth], ways))
        pending += [(depth + 1, part) for part in ways.values()]
    return tuple(found)


def scores(parts: Sequence[Fork], n_labels: int, look: Look) -> NDArray[np.float32]:
    """log P(label | one of the labels): float32[n_labels], one look a fork.

    look(shared, tokens): the log-probabilities of the next token being each of `tokens`, among them.
    """
    total = np.zeros(n_labels)
    for part in parts:
        chances = look(part.shared, list(part.ways))
        for chance, group in zip(chances, part.ways.values(), strict=True):
            total[list(group)] += chance
    return total.astype(np.float32)
