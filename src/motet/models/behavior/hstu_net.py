"""The torch half of HSTU. Only training needs this file."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.models.behavior.sequence_config import Config
from motet.models.behavior.sequence_trainer import Recipe, over_all_items
from motet.models.behavior.steps import Noise

SPANS = 48  # kinds of how long ago something was: by powers of the root of two, from one second to half a year


class Block(nn.Module):
    """Attention whose weights are each taken through SiLU and never compete, gated by what they are read for."""

    def __init__(self, dim: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.uvqk, self.out = nn.Linear(dim, 4 * dim), nn.Linear(dim, dim)
        self.apart = nn.Parameter(torch.randn(length + 1) * 0.02)
        self.ago = nn.Parameter(torch.randn(SPANS) * 0.02)

    def forward(self, x: Tensor, noise: Noise, apart: Tensor, ago: Tensor, seen: Tensor) -> Tensor:
        b, length, dim = x.shape
        u, v, q, k = functional.silu(self.uvqk(self.before(x))).chunk(4, -1)
        q, k, v = (each.view(b, length, self.heads, dim // self.heads).transpose(1, 2) for each in (q, k, v))
        bias = self.apart[apart] + self.ago[ago]
        weights = functional.silu(q @ k.transpose(2, 3) + bias[:, None]) * seen
        read = (weights @ v).transpose(1, 2).reshape(b, length, dim)
        return noise.drop(self.out(self.between(read) * u), onto=x)


class Users(nn.Module):
    """Vectors of users out of the items in their histories, and of when those were taken.

    A learnt start comes before every history, at the time of its first item.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(config.dim) * 0.02)
        self.places = nn.Parameter(torch.randn(config.length + 1, config.dim) * 0.02)
        self.blocks = nn.ModuleList([Block(config.dim, config.heads, config.length) for _ in range(config.blocks)])
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, history: Tensor, noise: Noise, moments: Tensor) -> Tensor:
        """[b, l, d], oldest first, padded at the end -> [b, l + 1, d]: before the first, and after each.

        moments: seconds, int64 [b, l + 1], when each item was taken, and after the last when the next one was.
        """
        b, length, dim = history.shape
        x = torch.cat([self.start.expand(b, 1, dim), history], 1) + self.places[: length + 1]
        place = torch.arange(length + 1)
        apart = (place[:, None] - place).clamp_min(0)
        keys = torch.cat([moments[:, :1], moments[:, :-1]], 1)
        ago = spans(moments[:, :, None] - keys[:, None])
        seen = (place[:, None] >= place).float() / (place[:, None] + 1)
        x = noise.drop(x)
        for block in self.blocks:
            x = block(x, noise, apart, ago, seen)
        return self.norm(x)


def spans(seconds: Tensor) -> Tensor:
    """Which kind of how long ago each is: int64 below SPANS."""
    return (2 * torch.log2(seconds.clamp_min(1).float())).long().clamp(0, SPANS - 1)


RECIPE = Recipe(Users, over_all_items)
