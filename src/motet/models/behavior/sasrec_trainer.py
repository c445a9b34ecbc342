"""The training loop of SASRec: windows of like length, Adam, averaged weights, every thread its share of a step."""

from __future__ import annotations

import functools
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from motet.batch import Array
from motet.models.behavior.sasrec_batches import Histories, batches, tensor
from motet.models.behavior.sasrec_config import Config
from motet.models.behavior.sasrec_net import CatalogueLoss, Items, Noise, Users

AVERAGED = 0.99  # share of the averaged weights that a step leaves as they were, once there are many
STEPS = 16  # an epoch has at least so many: few histories are gone through several times


class Net(nn.Module):
    """Both towers over the items that were seen in training. content: float32 [n, d] as Items takes it."""

    def __init__(self, config: Config, content: Tensor) -> None:
        super().__init__()
        self.items = Items(content, config.bound)
        self.users = Users(config.dim, config.blocks, config.heads, config.length)


class Share(NamedTuple):
    """What one thread made of its part of a step: its loss, the gradients of the items and of the users' tower."""

    loss: float
    gradients: tuple[Tensor, ...]


class Trainer:
    """One training, epoch by epoch."""

    def __init__(self, histories: Histories, net: Net, config: Config, seed: int) -> None:
        self.histories, self.net, self.config = histories, net, config
        self.rng = np.random.default_rng(seed)
        seeds = np.random.SeedSequence(seed).spawn(torch.get_num_threads())
        self.noises = [Noise(config.dropout, each) for each in seeds]
        self.threads = ThreadPoolExecutor(len(seeds), initializer=torch.set_num_threads, initargs=(1,))
        self.adam = torch.optim.Adam(net.parameters(), lr=config.rate, betas=(0.9, 0.98), fused=True)
        self.averaged = AveragedModel(net, avg_fn=_averaged)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the averaged weights."""
        return {name: value.clone() for name, value in self.averaged.module.state_dict().items()}

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
        many = len(self.noises)
        parts = [batch.take(np.arange(i, len(batch.starts), many)) for i in range(many)]
        work = [(noise, part) for noise, part in zip(self.noises, parts, strict=True) if len(part.starts)]

        def share(given: tuple[Noise, Histories]) -> Share:
            return self.share(*given, table.detach(), targets)

        made = list(self.threads.map(share, work))
        sums = [functools.reduce(torch.add, parts) for parts in zip(*(s.gradients for s in made), strict=True)]
        self.adam.zero_grad(set_to_none=True)
        table.backward(sums[0])
        for parameter, gradient in zip(self.net.users.parameters(), sums[1:], strict=True):
            parameter.grad = gradient
        cast(Any, self.adam).step()
        self.averaged.update_parameters(self.net)
        return sum(share.loss for share in made)

    def share(self, noise: Noise, part: Histories, table: Tensor, targets: int) -> Share:
        items = table.requires_grad_()
        codes, real = part.padded()
        at = tensor(np.flatnonzero(real))
        users = self.net.users(functional.embedding(codes[:, :-1], items), noise)
        users = users.view(-1, self.config.dim).index_select(0, at)
        loss = cast(Any, CatalogueLoss).apply(users, items, codes.view(-1)[at]) * (len(at) / targets)
        return Share(loss.item(), torch.autograd.grad(loss, (items, *self.net.users.parameters())))


@contextmanager
def alone() -> Generator[None]:
    """One thread inside an operation. The steps are shared out among threads instead: they then meet once a
    step, not at the end of each of its operations, which is faster, and several times so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _averaged(so_far: Tensor, now: Tensor, steps: Tensor | int) -> Tensor:
    """An exponential mean that does not hang on to where training began."""
    return so_far.lerp(now, 1 - min(AVERAGED, (1 + int(steps)) / (10 + int(steps))))


@torch.no_grad()
def ndcg(net: Net, seen: Histories, nexts: Array, k: int = 10) -> float:
    """Mean NDCG@k of the next items, ranked among all that their history does not hold."""
    net.eval()
    table, gain = net.items(), 0.0
    for low in range(0, len(nexts), 256):
        rows = np.arange(low, min(low + 256, len(nexts)))
        part, right = seen.take(rows), tensor(nexts[rows].astype(np.int64))[:, None]
        read = part.last(len(net.users.places) - 1)
        users = net.users(functional.embedding(read.padded()[0], table), Noise(0, 0))
        scores = users[torch.arange(len(rows)), tensor(read.sizes)] @ table.T
        own = scores.gather(1, right)
        codes, real = part.padded()
        who = tensor(np.repeat(rows - low, part.sizes))
        scores[who, codes[tensor(real)]] = -torch.inf
        rank = (scores.scatter(1, right, -torch.inf) >= own).sum(1)
        gain += float((1 / torch.log2(rank[rank < k] + 2.0)).sum())
    return gain / len(nexts)
