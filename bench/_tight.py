"""SASRec as one would write it by hand with nothing in the way: what a library's speed is held against.

All histories are one padded tensor, made once; no loader, no callbacks, float32, the library's own attention,
dropout and cross-entropy, logits only where there is something to predict.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        b, length, dim = x.shape
        split = self.qkv(self.norms[0](x)).view(b, length, 3, self.heads, dim // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        read = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.drop(self.out(read.transpose(1, 2).reshape(b, length, dim)))
        return x + self.drop(self.feed(self.norms[1](x)))


class Tight:
    """dim 64, two blocks, two heads, dropout 0.2, batches of 128, Adam at 0.001: the usual setting."""

    def __init__(self, histories: list[Any], items: int, length: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.pad = items
        sizes = torch.tensor([len(h) - 1 for h in histories])
        rows = torch.full((len(histories), length + 1), items)
        for row, history in zip(rows, histories, strict=True):
            row[: len(history)] = torch.from_numpy(np.asarray(history, np.int64))
        self.inputs = rows[:, :-1].masked_fill(torch.arange(length) >= sizes[:, None], items)
        self.wanted = rows[:, 1:].contiguous()
        self.items, self.places = nn.Embedding(items + 1, 64, padding_idx=items), nn.Embedding(length, 64)
        for table in (self.items, self.places):
            nn.init.normal_(table.weight, std=0.02)
        self.layers, self.norm, self.drop = (
            nn.Sequential(*(Layer(64, 2, 0.2) for _ in "12")),
            nn.LayerNorm(64),
            nn.Dropout(0.2),
        )
        parts = nn.ModuleList([self.items, self.places, self.layers, self.norm])
        self.adam = torch.optim.Adam(parts.parameters(), lr=1e-3, betas=(0.9, 0.98), fused=True)

    def epoch(self) -> int:
        """How many next items it learnt from."""
        learnt = 0
        for rows in torch.randperm(len(self.inputs)).split(128):
            wanted = self.wanted[rows]
            x = self.drop(self.items(self.inputs[rows]) + self.places.weight)
            users = self.norm(self.layers(x))[wanted != self.pad]
            logits = users @ self.items.weight[: self.pad].T
            loss = functional.cross_entropy(logits, wanted[wanted != self.pad])
            self.adam.zero_grad(set_to_none=True)
            loss.backward()
            self.adam.step()
            learnt += len(users)
        return learnt
