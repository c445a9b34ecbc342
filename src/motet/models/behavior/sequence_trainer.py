"""The training loop of all models of histories: windows of like length in steps that threads share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.batch import Array
from motet.models.behavior.sequence_batches import Histories, batches
from motet.models.behavior.sequence_config import Config, Towers
from motet.models.behavior.sequence_net import CatalogueLoss, Items, Users
from motet.models.behavior.steps import Noise, Share, Steps, alone, tensor

STEPS = 16  # an epoch has at least so many: few histories are gone through several times


Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Mean loss of users [t, d] over items [n, d], given the right ones, int64 [t], and how likely each item is as a
logarithm, [n]."""


class Recipe(NamedTuple):
    """What tells one model of histories from the others.

    users: the users' tower: (histories [b, l, d], noise, and where times are read moments [b, l + 1]) -> [b, l + 1, d].
    """

    users: Callable[[Any], nn.Module]
    loss: Loss


def over_all_items(users: Tensor, items: Tensor, targets: Tensor, likely: Tensor) -> Tensor:
    return cast(Tensor, cast(Any, CatalogueLoss).apply(users, items, targets))


def _sasrec(config: Config) -> Users:
    return Users(config.dim, config.blocks, config.heads, config.length)


RECIPE = Recipe(_sasrec, over_all_items)


class Net(nn.Module):
    """Both towers over the items that were seen in training. content: float32 [n, d] as Items takes it."""

    def __init__(self, config: Towers, content: Tensor, recipe: Recipe = RECIPE) -> None:
        super().__init__()
        self.items = Items(content, config.bound)
        self.users, self.loss = recipe.users(config), recipe.loss


class Trainer:
    """One training, epoch by epoch."""

    def __init__(self, histories: Histories, net: Net, config: Towers, seed: int) -> None:
        self.histories, self.net, self.config = histories, net, config
        counts = np.bincount(histories.values, minlength=len(net.items.content))
        self.likely = tensor(np.log(np.maximum(counts, 1) / max(counts.sum(), 1)).astype(np.float32))
        self.rng = np.random.default_rng(seed)
        self.steps = Steps(net, config.dropout, config.rate, seed)

    @property
    def averaged(self) -> Net:
        return cast(Net, self.steps.averaged.module)

    def epoch(self) -> tuple[float, int]:
        """Mean loss, and how many next items were learnt from."""
        self.net.train()
        total, targets, steps = 0.0, 0, 0
        with alone():
            while steps < STEPS:
                windows = self.histories.cut(self.config.length + 1, self.rng)
                for batch in batches(windows, self.config.batch, self.rng):
                    n = int(batch.sizes.sum())
                    total, targets, steps = total + self.step(batch, n) * n, targets + n, steps + 1
        return total / max(targets, 1), targets

    def step(self, batch: Histories, targets: int) -> float:
        """One step of Adam on the batch's mean loss, which every thread takes its share of."""
        table = self.net.items()
        parts = [batch.take(rows) for rows in self.steps.shares(len(batch.starts))]

        def share(part: Histories, noise: Noise) -> Share:
            return self.share(part, noise, table.detach(), targets)

        loss, (onto_table, *onto_users) = self.steps.shared(share, parts)
        self.steps.descend(self.net.users.parameters(), onto_users, through=(table, onto_table))
        return loss

    def share(self, part: Histories, noise: Noise, table: Tensor, targets: int) -> Share:
        items = table.requires_grad_()
        codes, real = part.padded()
        at = tensor(np.flatnonzero(real))
        users = self.net.users(functional.embedding(codes[:, :-1], items), noise, *part.moments(0))
        users = users.view(-1, self.config.dim).index_select(0, at)
        loss = self.net.loss(users, items, codes.view(-1)[at], self.likely) * (len(at) / targets)
        return Share(loss.item(), torch.autograd.grad(loss, (items, *self.net.users.parameters())))


@torch.no_grad()
def ndcg(net: Net, seen: Histories, nexts: Array, length: int, k: int = 10) -> float:
    """Mean NDCG@k of the next items, ranked among all that their history does not hold; its last `length` are read."""
    net.eval()
    table, gain = net.items(), 0.0
    for low in range(0, len(nexts), 256):
        rows = np.arange(low, min(low + 256, len(nexts)))
        part, right = seen.take(rows), tensor(nexts[rows].astype(np.int64))[:, None]
        read = part.last(length)
        users = net.users(functional.embedding(read.padded()[0], table), Noise(0, 0), *read.moments(1))
        scores = users[torch.arange(len(rows)), tensor(read.sizes)] @ table.T
        own = scores.gather(1, right)
        codes, real = part.padded()
        who = tensor(np.repeat(rows - low, part.sizes))
        scores[who, codes[tensor(real)]] = -torch.inf
        rank = (scores.scatter(1, right, -torch.inf) >= own).sum(1)
        gain += float((1 / torch.log2(rank[rank < k] + 2.0)).sum())
    return gain / len(nexts)
