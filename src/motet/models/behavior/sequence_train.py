"""How models of histories are trained: windows of like length, Adam, averaged weights, the epoch that validates best.

Numbers in, numbers out: nothing here knows a graph. What comes out needs no torch (sequence_towers.py).
"""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from motet.batch import Array
from motet.errors import DataError, counted
from motet.models.behavior.sequence_batches import Histories
from motet.models.behavior.sequence_config import Config, Towers
from motet.models.behavior.sequence_towers import Reading
from motet.models.behavior.sequence_trainer import RECIPE, Net, Recipe, Trainer, ndcg
from motet.models.behavior.steps import Noise, tensor

Tick = Callable[[int, int, float, float], None]  # told (epoch, epochs, mean loss, targets a second)

USUAL = Config()


class Last(nn.Module):
    """The user as of the end of each history: what is asked when serving."""

    def __init__(self, users: nn.Module) -> None:
        super().__init__()
        self.users = users

    def forward(self, vectors: Tensor, sizes: Tensor, *moments: Tensor) -> Tensor:
        states = self.users(vectors, Noise(0, 0), *moments)
        return states.gather(1, sizes[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]


def fit(
    values: Array,
    offsets: Array,
    n_items: int,
    content: Array | None = None,
    *,
    times: Array | None = None,
    config: Towers = USUAL,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    progress: Tick = lambda epoch, epochs, loss, rate: None,
) -> dict[str, Array]:
    """Learns both towers from histories and returns them as plain arrays (read by sequence_towers.py).

    values: int [N] item codes below n_items, one history behind the other, oldest first. offsets: int64
        [histories + 1]. content: float32 [n_items, c], a row of zeros where there is none. times: int64 [N], seconds,
        for a recipe that reads them.
    The last items of some histories are held out, and the averaged weights of the epoch that ranks them best
    (NDCG@10) are kept. Equal seeds on equal thread counts give equal states.
    Errors: nothing to learn from. An interrupt leaves nothing behind.
    """
    codes, dense = np.unique(values, return_inverse=True)
    longest = int(np.diff(offsets).max(initial=0))
    if len(codes) < 2 or longest < 2:
        raise DataError(
            f"a sequence model needs histories of two items or more, and there are {counted(len(values), 'event')} of "
            f"{counted(len(codes), 'item')}, the longest history of {longest}",
            help="give more events, or use mt.Popular()",
        )
    reading = None if content is None else Reading.of(content[codes], config.dim)
    told = np.zeros((len(codes), config.dim), np.float32)
    if content is not None and reading is not None:
        told = reading(content[codes])
    with cast(Any, torch.random).fork_rng(devices=[]):
        cast(Any, torch).manual_seed(seed)
        net = Net(config, tensor(told), recipe)
    whole = Histories(dense.astype(np.int32), offsets[:-1], offsets[1:], times)
    best = _best(whole, net, config, seed, progress)
    read = {} if reading is None else {"mean": reading.mean, "basis": reading.basis}
    return {
        **_items(best, codes, np.bincount(dense)),
        **read,
        "users": onnx_of(best.users, config.dim, times is not None),
    }


def _best(whole: Histories, net: Net, config: Towers, seed: int, progress: Tick) -> Net:
    """The averaged weights of the epoch that ranks the held-out items best."""
    rng = np.random.default_rng(seed)
    able = np.flatnonzero(whole.sizes > 1)
    held = np.sort(rng.choice(able, min(config.held, len(able)), replace=False))
    shorter = whole.without_last(held)
    seen, nexts = shorter.take(held), whole.values[whole.ends[held] - 1]
    trainer = Trainer(shorter, net, config, seed)
    best, kept, since = -1.0, trainer.steps.weights(), 0
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        loss, targets = trainer.epoch()
        progress(epoch, config.epochs, loss, targets / (time.perf_counter() - start))
        found = ndcg(trainer.averaged, seen, nexts, config.length)
        since += 1
        if found > best:
            best, kept, since = found, trainer.steps.weights(), 0
        if since >= config.patience:
            break
    net.load_state_dict(kept)
    return net.eval()


@torch.no_grad()
def _items(net: Net, codes: Array, counts: Array) -> dict[str, Array]:
    """The items' tower as arrays. Of an item that nothing is known of: the mean of the least seen tenth."""
    rare = tensor(np.argsort(counts, kind="stable")[: -(-len(counts) // 10)])
    return {
        "codes": codes,
        "residuals": net.items.residuals().numpy(),
        "unknown": net.items()[rare].mean(0).numpy(),
    }


def onnx_of(users: nn.Module, dim: int, timed: bool = False) -> Array:
    """The users' tower as ONNX: vectors [b, l, d] padded at the end, sizes int64 [b] -> users [b, d].

    timed: it also reads moments int64 [b, l + 1], when each item happened and when it is asked.
    """
    made = io.BytesIO()
    given = [torch.zeros(2, 3, dim), torch.tensor([3, 1]), *([torch.arange(8).view(2, 4)] if timed else [])]
    axes = {"vectors": {0: "b", 1: "l"}, "sizes": {0: "b"}, "moments": {0: "b", 1: "m"}, "users": {0: "b"}}
    names = ["vectors", "sizes", *(["moments"] if timed else [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing says that shapes become constants; the exported axes do not
        cast(Any, torch.onnx).export(
            Last(users).eval(),
            tuple(given),
            made,
            input_names=names,
            output_names=["users"],
            dynamic_axes={name: axes[name] for name in (*names, "users")},
            opset_version=17,
            dynamo=False,
        )
    return np.frombuffer(made.getvalue(), np.uint8)
