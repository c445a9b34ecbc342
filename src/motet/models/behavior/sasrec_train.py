"""How SASRec is trained: windows of like length, Adam, averaged weights, the epoch that validates best.

Numbers in, numbers out: nothing here knows a graph. What comes out needs no torch (sasrec_towers.py).
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from motet.batch import Array
from motet.errors import DataError
from motet.models.behavior.sasrec_batches import Histories, batches, tensor
from motet.models.behavior.sasrec_net import CatalogueLoss, Items, Noise, Users
from motet.models.behavior.sasrec_towers import center, standardized

Tick = Callable[[int, int, float, float], None]  # told (epoch, epochs, mean loss, targets a second)
AVERAGED = 0.99  # share of the averaged weights that a step leaves as they were, once there are many
STEPS = 16  # an epoch has at least so many: few histories are gone through several times


@dataclass(frozen=True)
class Config:
    """length: items of a history that are read. batch: histories a step. rate: of Adam.

    bound: the longest residual that an item with content may have. patience: epochs without a better
    validation before it stops. held: at most so many histories give their last item to validation.
    """

    dim: int = 64
    blocks: int = 2
    heads: int = 2
    length: int = 50
    dropout: float = 0.2
    bound: float = 1.0
    batch: int = 64
    rate: float = 2e-3
    epochs: int = 100
    patience: int = 20
    held: int = 1_000


class Net(nn.Module):
    """Both towers over the items that were seen in training."""

    def __init__(self, config: Config, read: Tensor, content: Tensor | None) -> None:
        super().__init__()
        self.items = Items(read, config.dim, content, config.bound)
        self.users = Users(config.dim, config.blocks, config.heads, config.length)


class Last(nn.Module):
    """The user as of the end of each history: what is asked when serving."""

    def __init__(self, users: Users) -> None:
        super().__init__()
        self.users = users

    def forward(self, vectors: Tensor, sizes: Tensor) -> Tensor:
        states = self.users(vectors, Noise(0, 0))
        return states.gather(1, sizes[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]


class Trainer:
    """One training, epoch by epoch."""

    def __init__(self, histories: Histories, net: Net, content: Tensor | None, config: Config, seed: int) -> None:
        self.histories, self.net, self.content, self.config = histories, net, content, config
        self.rng, self.noise = np.random.default_rng(seed), Noise(config.dropout, seed)
        self.adam = torch.optim.Adam(net.parameters(), lr=config.rate, betas=(0.9, 0.98), fused=True)
        self.averaged = AveragedModel(net, avg_fn=_averaged)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the averaged weights."""
        return {name: value.clone() for name, value in self.averaged.module.state_dict().items()}

    def epoch(self) -> tuple[float, int]:
        """Mean loss, and how many next items were learnt from."""
        self.net.train()
        total, targets = 0.0, 0
        steps = 0
        while steps < STEPS:
            windows = self.histories.cut(self.config.length + 1, self.rng)
            for batch in batches(windows, self.config.batch, self.rng):
                codes, real = batch.padded()
                loss, n = self.step(codes, tensor(np.flatnonzero(real)))
                total, targets, steps = total + loss * n, targets + n, steps + 1
        return total / max(targets, 1), targets

    def step(self, codes: Tensor, real: Tensor) -> tuple[float, int]:
        table = self.net.items(self.content)
        users = self.net.users(functional.embedding(codes[:, :-1], table), self.noise)
        users = users.view(-1, self.config.dim).index_select(0, real)
        loss = cast(Any, CatalogueLoss).apply(users, table, codes.view(-1)[real])
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        cast(Any, self.adam).step()
        self.averaged.update_parameters(self.net)
        return float(loss.detach()), len(real)


def _averaged(so_far: Tensor, now: Tensor, steps: Tensor | int) -> Tensor:
    """An exponential mean that does not hang on to where training began."""
    return so_far.lerp(now, 1 - min(AVERAGED, (1 + int(steps)) / (10 + int(steps))))


@torch.no_grad()
def ndcg(net: Net, content: Tensor | None, seen: Histories, nexts: Array, k: int = 10) -> float:
    """Mean NDCG@k of the next items, ranked among all that their history does not hold."""
    net.eval()
    table, gain = net.items(content), 0.0
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


def fit(
    values: Array,
    offsets: Array,
    n_items: int,
    content: Array | None = None,
    *,
    config: Config = Config(),
    seed: int = 0,
    progress: Tick = lambda epoch, epochs, loss, rate: None,
) -> dict[str, Array]:
    """Learns both towers from histories and returns them as plain arrays (read by sasrec_towers.py).

    values: int [N] item codes below n_items, one history behind the other, oldest first. offsets: int64
        [histories + 1]. content: float32 [n_items, c], a row of zeros where there is none.
    The last items of some histories are held out, and the averaged weights of the epoch that ranks them best
    (NDCG@10) are kept. Equal seeds on equal thread counts give equal states.
    Errors: nothing to learn from. An interrupt leaves nothing behind.
    """
    codes, dense = np.unique(values, return_inverse=True)
    if len(codes) < 2:
        raise DataError(
            f"a sequence model needs histories of two items or more, and there are {len(values)} events "
            f"of {len(codes)} items",
            help="give more events, or use mt.Popular()",
        )
    mean = seen = None
    if content is not None:
        mean = center(content)
        seen = tensor(standardized(content[codes], mean))
    read = torch.zeros(len(codes), dtype=torch.bool) if seen is None else seen.any(1)
    with cast(Any, torch.random).fork_rng(devices=[]):
        cast(Any, torch).manual_seed(seed)
        net = Net(config, read, seen)
    whole = Histories(dense.astype(np.int32), offsets[:-1], offsets[1:])
    best = _best(whole, net, seen, config, seed, progress)
    return {**_items(best, codes, np.bincount(dense), mean, seen), "users": onnx_of(best.users, config.dim)}


def _best(whole: Histories, net: Net, content: Tensor | None, config: Config, seed: int, progress: Tick) -> Net:
    """The averaged weights of the epoch that ranks the held-out items best."""
    rng = np.random.default_rng(seed)
    able = np.flatnonzero(whole.sizes > 1)
    held = np.sort(rng.choice(able, min(config.held, len(able)), replace=False))
    shorter = whole.without_last(held)
    seen, nexts = shorter.take(held), whole.values[whole.ends[held] - 1]
    trainer = Trainer(shorter, net, content, config, seed)
    best, kept, since = -1.0, trainer.weights(), 0
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        loss, targets = trainer.epoch()
        progress(epoch, config.epochs, loss, targets / (time.perf_counter() - start))
        found = ndcg(cast(Net, trainer.averaged.module), content, seen, nexts)
        since += 1
        if found > best:
            best, kept, since = found, trainer.weights(), 0
        if since >= config.patience:
            break
    net.load_state_dict(kept)
    return net.eval()


@torch.no_grad()
def _items(net: Net, codes: Array, counts: Array, mean: Array | None, content: Tensor | None) -> dict[str, Array]:
    """The items' tower as arrays. Of an item that nothing is known of: the mean of the least seen tenth."""
    rare = tensor(np.argsort(counts, kind="stable")[: -(-len(counts) // 10)])
    made = {
        "codes": codes,
        "residuals": net.items.residuals().numpy(),
        "unknown": net.items(content)[rare].mean(0).numpy(),
    }
    if mean is None or net.items.project is None:
        return made
    return {**made, "mean": mean, "projection": np.ascontiguousarray(net.items.project.weight.T.numpy())}


def onnx_of(users: Users, dim: int) -> Array:
    """The users' tower as ONNX: vectors [b, l, d] padded at the end, sizes int64 [b] -> users [b, d]."""
    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing says that shapes become constants; the exported axes do not
        cast(Any, torch.onnx).export(
            Last(users).eval(),
            (torch.zeros(2, 3, dim), torch.tensor([3, 1])),
            made,
            input_names=["vectors", "sizes"],
            output_names=["users"],
            dynamic_axes={"vectors": {0: "b", 1: "l"}, "sizes": {0: "b"}, "users": {0: "b"}},
            opset_version=17,
            dynamo=False,
        )
    return np.frombuffer(made.getvalue(), np.uint8)
