"""The torch half of models of histories: towers, attention, the loss over all items. Only training needs this file.

Two things that a training step usually spends most of its time on are written by hand, each equal to
what it replaces (tests/models/behavior/test_sequence_net.py): the loss over the whole catalogue, and causal
attention over short sequences.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.models.behavior.steps import Noise

# Logits of this many (position, item) pairs are in memory at a time: 4 MiB, so they stay in the cache.
CELLS = 1 << 20


class CatalogueLoss(torch.autograd.Function):
    """Mean softmax cross-entropy of every position over every item, logits never held whole.

    forward(users [t, d], items [n, d], targets int64[t]) -> scalar. The gradients fall out of the same pass
    over the logits, so they are taken there and backward only scales them.
    """

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, targets: Tensor) -> Tensor:
        t, n = len(users), len(items)
        rows = min(t, max(128, CELLS // n))
        room = torch.empty(rows * n)
        user_grad, item_grad, losses = torch.empty_like(users), torch.zeros_like(items), torch.empty(t)
        # float32 holds exp(x) for |x| < 87: where no logit can reach 40, none needs its maximum taken off.
        bounded = float(lengths(users).max() * lengths(items).max()) < 40
        for at in range(0, t, rows):
            part = users[at : at + rows]
            logits = torch.mm(part, items.T, out=room[: len(part) * n].view(len(part), n))
            right = logits.gather(1, targets[at : at + rows, None])  # as it was rounded among the others
            highest = torch.zeros(len(part), 1) if bounded else logits.amax(1, keepdim=True)
            odds = (logits if bounded else logits.sub_(highest)).exp_()
            sums = odds.sum(1, keepdim=True)
            share = (sums * t).reciprocal_()
            torch.mm(odds, items, out=user_grad[at : at + rows]).mul_(share)
            item_grad.addmm_(odds.T, part * share)
            losses[at : at + rows] = (sums.log() + (highest - right)).view(-1)
        user_grad.sub_(items[targets], alpha=1 / t)
        item_grad.index_add_(0, targets, users, alpha=-1 / t)
        ctx.save_for_backward(user_grad, item_grad)
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        user_grad, item_grad = ctx.saved_tensors
        return user_grad * grads[0], item_grad * grads[0], None


def lengths(rows: Tensor) -> Tensor:
    """[n, d] -> [n, 1]"""
    return cast(Any, torch.linalg).vector_norm(rows, dim=1, keepdim=True)


class CausalAttention(torch.autograd.Function):
    """Causal attention of left-aligned rows, read from and written to one [b, l, 3, heads, d] array in place.

    The library's kernel copies queries, keys and values to one layout and their gradients back; at these
    lengths the copies cost as much as the attention.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor) -> Tensor:
        b, length, _, heads, width = qkv.shape
        out = qkv.new_empty(b, length, heads, width)
        future = causal(length, qkv)
        weights: list[Tensor] = []
        for h in range(heads):
            q, k, v = qkv[:, :, :, h].unbind(2)
            p = torch.baddbmm(future, q, k.transpose(1, 2), alpha=width**-0.5).softmax(-1)
            out[:, :, h] = torch.bmm(p, v)
            weights.append(p)
        ctx.save_for_backward(qkv, *weights)
        return out.view(b, length, heads * width)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        qkv, *weights = ctx.saved_tensors
        b, length, _, heads, width = qkv.shape
        grad, into = grads[0].view(b, length, heads, width), torch.empty_like(qkv)
        for h, p in enumerate(weights):
            (q, k, v), out = qkv[:, :, :, h].unbind(2), grad[:, :, h]
            onto_p = torch.bmm(out, v.transpose(1, 2))
            s = (onto_p - (onto_p * p).sum(-1, keepdim=True)).mul_(p).mul_(width**-0.5)
            into[:, :, 0, h] = torch.bmm(s, k)
            into[:, :, 1, h] = torch.bmm(s.transpose(1, 2), q)
            into[:, :, 2, h] = torch.bmm(p.transpose(1, 2), out)
        return into


def causal(length: int, like: Tensor) -> Tensor:
    """[l, l] added to attention: minus infinity where a key lies after its query."""
    return like.new_full((length, length), float("-inf")).triu_(1)


def attend(qkv: Tensor, training: bool) -> Tensor:
    """[b, l, 3, heads, d] -> [b, l, heads * d]. What is not trained is written in operations ONNX has."""
    if training:
        return cast(Tensor, cast(Any, CausalAttention).apply(qkv))
    b, length, _, heads, width = qkv.shape
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    p = (q @ k.transpose(2, 3) * width**-0.5 + causal(length, qkv)).softmax(-1)
    return (p @ v).transpose(1, 2).reshape(b, length, heads * width)


class Block(nn.Module):
    """Pre-norm self-attention, then a feed-forward layer of the same width."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.wide, self.narrow = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        b, length, dim = x.shape
        qkv = self.qkv(self.before(x)).view(b, length, 3, self.heads, dim // self.heads)
        x = noise.drop(self.out(attend(qkv, self.training)), onto=x)
        return noise.drop(self.narrow(functional.relu(self.wide(self.between(x)))), onto=x)


class Users(nn.Module):
    """Vectors of users out of the vectors of the items in their histories.

    A learnt start comes before every history, so an empty one has a vector too: what a user wants of whom
    nothing is known.
    """

    def __init__(self, dim: int, blocks: int, heads: int, length: int) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(dim) * 0.02)
        self.places = nn.Parameter(torch.randn(length + 1, dim) * 0.02)
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(blocks)])
        self.norm = nn.LayerNorm(dim)

    def forward(self, history: Tensor, noise: Noise) -> Tensor:
        """[b, l, d], oldest first, padded at the end -> [b, l + 1, d]: before the first, and after each."""
        b, length, dim = history.shape
        x = torch.cat([self.start.expand(b, 1, dim), history], 1) + self.places[: length + 1]
        x = noise.drop(x)
        for block in self.blocks:
            x = block(x, noise)
        return self.norm(x)


class Items(nn.Module):
    """Vectors of items: what their content says, frozen, plus a residual of each item's own.

    The residual of an item with content starts at zero and stays within `bound`, so that an item which was
    never seen is read from its content alone. An item without content has an ordinary embedding.

    content: float32 [n, d], rows of zeros where there is none.
    """

    content: Tensor
    told: Tensor

    def __init__(self, content: Tensor, bound: float) -> None:
        super().__init__()
        self.bound = bound
        told = content.any(1, keepdim=True)
        self.own = nn.Parameter(torch.randn(content.shape) * 0.02 * ~told)
        self.register_buffer("told", told)
        self.register_buffer("content", content)

    def residuals(self) -> Tensor:
        """[n, d]"""
        shorter = self.bound / lengths(self.own).clamp_min(self.bound)
        return torch.where(self.told, self.own * shorter, self.own)

    def forward(self) -> Tensor:
        """[n, d]"""
        return self.content + self.residuals()
