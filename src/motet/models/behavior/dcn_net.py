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


class Net(nn.Module):
    """Log-odds of rows: crosses and a deep net side by side over the embeddings and numbers of a row.

    rows: of the table of embeddings. fields: embeddings a row. numbers: numbers a row.
    """

    def __init__(self, config: Config, rows: int, fields: int, numbers: int) -> None:
        super().__init__()
        wide = fields * config.dim + numbers
        self.table = nn.Parameter(torch.randn(rows, config.dim) * 0.05)
        self.cross = nn.ModuleList([nn.Linear(wide, wide) for _ in range(config.cross)])
        widths = [wide, *config.hidden]
        self.deep = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(widths)])
        self.out = nn.Linear(wide + (widths[-1] if config.hidden else 0), 1)

    def forward(self, rows: Encoded, noise: Noise) -> Tensor:
        """float32 [n]"""
        parts = [functional.embedding(tensor(rows.codes), self.table).flatten(1)]
        for bag in rows.bags:
            values, offsets = bag.flat()
            parts.append(functional.embedding_bag(tensor(values), self.table, tensor(offsets[:-1]), mode="mean"))
        first = torch.cat([*parts, tensor(rows.numbers)], 1)
        crossed, deep = first, first
        for layer in self.cross:
            crossed = torch.addcmul(crossed, first, layer(crossed))
        for layer in self.deep:
            deep = noise.drop(functional.relu(layer(deep)))
        both = torch.cat([crossed, deep], 1) if len(self.deep) else crossed
        return self.out(both)[:, 0]

    @torch.no_grad()
    def arrays(self) -> dict[str, Any]:
        """The weights as dcn.predictions reads them."""
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
        for i, layer in enumerate(cast("list[nn.Linear]", list(self.deep))):
            made |= {f"deep{i}": _array(layer.weight), f"deep_bias{i}": _array(layer.bias)}
        return made


def _array(weights: Tensor) -> Array:
    return weights.detach().clone().numpy()
