"""How DCN-v2 is built and trained: what the graph's model and the trainer share, without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """As mt.DCN says."""

    dim: int = 16
    cross: int = 3
    hidden: tuple[int, ...] = (256, 128)
    dropout: float = 0.1
    l2: float = 1e-3
    normalised: bool = False
    held: float = 0.1
    batch: int = 1024
    rate: float = 1e-3
    epochs: int = 30
    patience: int = 3
    names: int = 100_000
    requests: int = 20_000
