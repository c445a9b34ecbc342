"""How DCN-v2 is trained: shuffled examples, logistic loss, the epoch that predicts the latest examples best."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from motet.batch import Array
from motet.models.behavior import inputs
from motet.models.behavior.dcn_config import Config
from motet.models.behavior.dcn_net import Net
from motet.models.behavior.examples import Examples
from motet.models.behavior.inputs import Encoded, Part
from motet.models.behavior.steps import Noise, Share, Steps, alone, tensor

Tick = Callable[[int, int, float, float], None]  # told (epoch, epochs, mean loss, rows a second)
BLOCK = 8192  # rows that are validated at a time
SETTLED = 16_384  # rows by which the net normalises when it predicts


class Trainer:
    """One training, epoch by epoch. labels: float32 [n], zero or one."""

    def __init__(self, rows: Encoded, labels: Array, net: Net, config: Config, seed: int) -> None:
        self.rows, self.labels, self.net, self.config = rows, labels, net, config
        self.rng = np.random.default_rng(seed)
        self.steps = Steps(net, config.dropout, config.rate, seed)
        some = min(len(rows), SETTLED)
        self.typical = rows.take(np.random.default_rng(seed).choice(len(rows), some, replace=False))

    def averaged(self) -> Net:
        """The net of the averaged weights, ready to predict."""
        made = cast(Net, self.steps.averaged.module).eval()
        made.settle(self.typical)
        return made

    def epoch(self) -> float:
        """Mean loss of all rows, each seen once."""
        order, total = self.rng.permutation(len(self.rows)), 0.0
        with alone():
            for some in np.array_split(order, -(-len(order) // self.config.batch)):
                total += self.step(some) * len(some)
        return total / len(order)

    def step(self, some: Array) -> float:
        parameters = list(self.net.parameters())
        parts = [some[rows] for rows in self.steps.shares(len(some))]

        def share(part: Array, noise: Noise) -> Share:
            odds, labels = self.net(self.rows.take(part), noise), tensor(self.labels[part])
            loss = functional.binary_cross_entropy_with_logits(odds, labels) * (len(part) / len(some))
            return Share(loss.item(), torch.autograd.grad(loss, parameters))

        loss, gradients = self.steps.shared(share, parts)
        if self.config.l2:
            gradients[0] = torch.add(gradients[0], self.net.table.detach(), alpha=self.config.l2)
        self.steps.descend(parameters, gradients)
        return loss


def fit(
    rows: Encoded,
    seen: Examples,
    parts: list[Part],
    *,
    config: Config,
    seed: int = 0,
    progress: Tick = lambda epoch, epochs, loss, rate: None,
) -> dict[str, Any]:
    """Learns the net and returns it as plain arrays, which dcn.predictions reads.

    rows, parts: of inputs.py. seen: their labels, the oldest first; where the latest would tell nothing, all are
    learnt from, and validate. Equal seeds on equal thread counts give equal states.
    """
    with cast(Any, torch.random).fork_rng(devices=[]):
        cast(Any, torch).manual_seed(seed)
        fields = rows.codes.shape[1] + len(rows.bags)
        net = Net(config, int(inputs.starts(parts)[-1]), fields, rows.numbers.shape[1])
    early, late = seen.split(config.held)
    if not early.tells() or not late.tells():
        early = late = seen
    learnt, valid = _part(rows, early, seen), _part(rows, late, seen)
    trainer = Trainer(*learnt, net, config, seed)
    best, kept, since = np.inf, trainer.steps.weights(), 0
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        loss = trainer.epoch()
        progress(epoch, config.epochs, loss, len(early.rows) / (time.perf_counter() - start))
        found = validation(trainer.averaged(), *valid)
        since += 1
        if found < best:
            best, kept, since = found, trainer.steps.weights(), 0
        if since >= config.patience:
            break
    net.load_state_dict(kept)
    made = net.arrays()
    _fill_missing(made["table"], learnt[0], inputs.starts(parts))
    return made


def _part(rows: Encoded, some: Examples, seen: Examples) -> tuple[Encoded, Array]:
    where = np.arange(len(seen.rows))[some.within(seen)]
    return rows.take(where), (some.labels > 0).astype(np.float32)


@torch.no_grad()
def validation(net: Net, rows: Encoded, labels: Array) -> float:
    """Mean log loss."""
    total = 0.0
    for low in range(0, len(labels), BLOCK):
        some = np.arange(low, min(low + BLOCK, len(labels)))
        odds: Tensor = net(rows.take(some), Noise(0, 0))
        total += functional.binary_cross_entropy_with_logits(odds, tensor(labels[some]), reduction="sum").item()
    return total / len(labels)


def _fill_missing(table: Array, rows: Encoded, starts: Array) -> None:
    """Of a name that was not there: where no training row lacked one, the mean of the least seen tenth."""
    used = [rows.codes.ravel(), *(bag.flat()[0] for bag in rows.bags)]
    counts = np.bincount(np.concatenate(used), minlength=len(table))
    for begin, end in pairwise(starts.tolist()):
        own = counts[begin + 1 : end]
        if counts[begin] == 0 and own.any():
            known = np.flatnonzero(own)
            rare = known[np.argsort(own[known], kind="stable")][: -(-len(known) // 10)]
            table[begin] = table[begin + 1 + rare].mean(axis=0)
