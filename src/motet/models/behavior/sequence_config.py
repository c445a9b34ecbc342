"""How models of histories are built and trained: what the graph's models and the trainer share, without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Towers:
    """length: items of a history that are read. batch: histories a step. rate: of Adam.

    bound: the longest residual that an item with content may have. patience: epochs without a better
    validation before it stops. held: at most so many histories give their last item to validation.
    """

    dim: int = 64
    length: int = 50
    dropout: float = 0.2
    bound: float = 1.0
    batch: int = 64
    rate: float = 2e-3
    epochs: int = 100
    patience: int = 20
    held: int = 1_000


@dataclass(frozen=True)
class Config(Towers):
    """blocks, heads: of the attention."""

    blocks: int = 2
    heads: int = 2
