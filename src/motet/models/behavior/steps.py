"""Steps of training that all threads share: what every deep model of behavior is trained with."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from motet.batch import Array
from motet.clock import library

AVERAGED = 0.99  # share of the averaged weights that a step leaves as they were, once there are many

P = TypeVar("P")


def tensor(array: Array) -> Tensor:
    """The array's own memory as a tensor."""
    return cast(Any, torch).from_numpy(array)


class Noise:
    """Dropout masks from one byte of NumPy's generator an element, which costs a fifth of torch's own.

    keep: share kept, to the nearest 1/256; masks hold 0 or 1/keep.
    """

    def __init__(self, dropout: float, seed: int | np.random.SeedSequence) -> None:
        self.kept = round(256 * (1 - dropout))
        self.rng = np.random.Generator(np.random.SFC64(seed))

    def drop(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """x with a share of it dropped, added to `onto` where given."""
        if self.kept == 256:
            return x if onto is None else onto + x
        raw = np.frombuffer(self.rng.bytes(x.numel()), np.uint8)
        mask = tensor((raw < self.kept).astype(np.float32)).view(x.shape).mul_(256 / self.kept)
        return x * mask if onto is None else torch.addcmul(onto, x, mask)


class Share(NamedTuple):
    """What one thread made of its part of a step: its part of the loss, and the gradients of it."""

    loss: float
    gradients: tuple[Tensor, ...]


class Steps:
    """Adam on a net, and the running mean of its weights. Every thread takes its share of a step."""

    def __init__(self, net: nn.Module, dropout: float, rate: float, seed: int) -> None:
        seeds = np.random.SeedSequence(seed).spawn(torch.get_num_threads())
        self.net, self.noises = net, [Noise(dropout, each) for each in seeds]
        self.threads = ThreadPoolExecutor(len(seeds), initializer=torch.set_num_threads, initargs=(1,))
        library("torch._dynamo")  # which the first optimizer loads
        self.adam = torch.optim.Adam(net.parameters(), lr=rate, betas=(0.9, 0.98), fused=True)
        self.averaged = AveragedModel(net, avg_fn=_averaged)

    def weights(self) -> dict[str, Tensor]:
        """A copy of the averaged weights."""
        return {name: value.clone() for name, value in self.averaged.module.state_dict().items()}

    def shares(self, n: int) -> list[Array]:
        """Which of n rows each thread takes; none is without."""
        return [np.arange(i, n, len(self.noises)) for i in range(min(n, len(self.noises)))]

    def shared(self, work: Callable[[P, Noise], Share], parts: Sequence[P]) -> tuple[float, list[Tensor]]:
        """The loss and the gradients of all parts together, a part a thread."""
        made = list(self.threads.map(work, parts, self.noises))
        gradients = zip(*(share.gradients for share in made), strict=True)
        return sum(share.loss for share in made), [functools.reduce(torch.add, each) for each in gradients]

    def descend(
        self,
        parameters: Iterable[Tensor],
        gradients: Iterable[Tensor],
        through: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """One step down these gradients. through: a tensor that other parameters made, and its gradient."""
        self.adam.zero_grad(set_to_none=True)
        if through is not None:
            cast(Any, through[0]).backward(through[1])
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        cast(Any, self.adam).step()
        self.averaged.update_parameters(self.net)


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
