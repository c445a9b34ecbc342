"""The torch half of the two-tower model. Only training needs this file."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.models.behavior.sequence_config import Towers
from motet.models.behavior.sequence_trainer import Recipe
from motet.models.behavior.steps import Noise

WIDER = 4  # times the vectors' width: the layer between


class Users(nn.Module):
    """Vectors of users: the mean of their history's items, through a layer. A learnt start stands before the first."""

    def __init__(self, config: Towers) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(config.dim) * 0.02)
        self.wide = nn.Linear(config.dim, WIDER * config.dim)
        self.narrow = nn.Linear(WIDER * config.dim, config.dim)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, history: Tensor, noise: Noise) -> Tensor:
        """[b, l, d], oldest first, padded at the end -> [b, l + 1, d]: before the first, and after each."""
        b, _, dim = history.shape
        all_so_far = torch.cat([self.start.expand(b, 1, dim), history], 1).cumsum(1)
        counts = torch.ones_like(all_so_far[:, :, :1]).cumsum(1)
        x = self.norm(all_so_far / counts)
        return x + noise.drop(self.narrow(noise.drop(functional.relu(self.wide(x)))))


def in_batch(users: Tensor, items: Tensor, targets: Tensor, likely: Tensor) -> Tensor:
    """Softmax cross-entropy of each target among all of the batch's, corrected for how likely they are to be there.

    A target that comes several times is one column that counts so often, but for the rows whose own it is.
    """
    distinct = cast(Any, torch).unique
    there, own, counts = cast(
        "tuple[Tensor, Tensor, Tensor]", distinct(targets, return_inverse=True, return_counts=True)
    )
    often = counts.float().log()
    scores = users @ items[there].T + (often - likely[there])
    right = torch.zeros_like(scores).scatter(1, own[:, None], often[own][:, None])
    return functional.cross_entropy(scores - right, own)


RECIPE = Recipe(Users, in_batch)
