"""The torch half of DCN-v2. Only training needs this file."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from motet.batch import Array
from motet.models.behavior.dcn_config import Config
from motet.models.behavior.inputs import Encoded
from motet.models.behavior.steps import Noise, tensor

EPSILON = 1e-5  # added to variances


class Normal(nn.Module):
    """Each column with mean 0 and deviation 1 before it is scaled and shifted: by the rows at hand while it trains,
    by what `of` was last shown otherwise."""

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def of(self, x: Tensor) -> None:
        self.mean.copy_(x.mean(0))
        self.variance.copy_(x.var(0, correction=0))

    def forward(self, x: Tensor) -> Tensor:
        own = self.training
        mean, variance = (None, None) if own else (self.mean, self.variance)
        return cast(Any, torch).batch_norm(x, self.scale, self.shift, mean, variance, own, 0.0, EPSILON, False)


class Net(nn.Module):
    """Log-odds of rows: crosses and a deep net side by side over the embeddings and numbers of a row.

    Where deep layers are normalised, embeddings may be as small as a strong penalty makes them.

    rows: of the table of embeddings. fields: embeddings a row. numbers: numbers a row.
    """

    def __init__(self, config: Config, rows: int, fields: int, numbers: int) -> None:
        super().__init__()
        wide = fields * config.dim + numbers
        self.table = nn.Parameter(torch.randn(rows, config.dim) * 0.05)
        self.cross = nn.ModuleList([nn.Linear(wide, wide) for _ in range(config.cross)])
        widths = [wide, *config.hidden]
        own = config.normalised
        self.deep = nn.ModuleList([nn.Linear(a, b, bias=not own) for a, b in pairwise(widths)])
        self.normal = nn.ModuleList([Normal(width) if own else nn.Identity() for width in config.hidden])
        self.out = nn.Linear(wide + (widths[-1] if config.hidden else 0), 1)

    def forward(self, rows: Encoded, noise: Noise) -> Tensor:
        """float32 [n]"""
        first = self.first(rows)
        crossed, deep = first, first
        for layer in self.cross:
            crossed = torch.addcmul(crossed, first, layer(crossed))
        for layer, normal in zip(self.deep, self.normal, strict=True):
            deep = noise.drop(functional.relu(normal(layer(deep))))
        both = torch.cat([crossed, deep], 1) if len(self.deep) else crossed
        return self.out(both)[:, 0]

    def first(self, rows: Encoded) -> Tensor:
        """Embeddings and numbers, a row of theirs for each row."""
        parts = [functional.embedding(tensor(rows.codes), self.table).flatten(1)]
        for bag in rows.bags:
            values, offsets = bag.flat()
            parts.append(functional.embedding_bag(tensor(values), self.table, tensor(offsets[:-1]), mode="mean"))
        return torch.cat([*parts, tensor(rows.numbers)], 1)

    @torch.no_grad()
    def settle(self, rows: Encoded) -> None:
        """Normalises by these rows from now on, where it does not train."""
        deep = self.first(rows)
        for layer, normal in zip(self.deep, self.normal, strict=True):
            deep = layer(deep)
            if isinstance(normal, Normal):
                normal.of(deep)
            deep = functional.relu(normal(deep))

    @torch.no_grad()
    def arrays(self) -> dict[str, Any]:
        """The weights as dcn.predictions reads them, what normalises folded into them."""
        cross = cast("list[nn.Linear]", list(self.cross))
        wide = self.out.in_features if not cross else cross[0].in_features
        made: dict[str, Any] = {
            "table": _array(self.table),
            "cross": _array(torch.stack([layer.weight for layer in cross]) if cross else torch.zeros(0, wide, wide)),
            "cross_bias": _array(torch.stack([layer.bias for layer in cross]) if cross else torch.zeros(0, wide)),
            "layers": len(self.deep),
            "out": _array(self.out.weight[0]),
            "bias": float(self.out.bias),
        }
        for i, (layer, normal) in enumerate(zip(cast("list[nn.Linear]", self.deep), self.normal, strict=True)):
            weight, bias = layer.weight, layer.bias
            if isinstance(normal, Normal):
                scale = normal.scale / (normal.variance + EPSILON).sqrt()
                weight, bias = weight * scale[:, None], normal.shift - normal.mean * scale
            made |= {f"deep{i}": _array(weight), f"deep_bias{i}": _array(bias)}
        return made


def _array(weights: Tensor) -> Array:
    return weights.detach().clone().numpy()
