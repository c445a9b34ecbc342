"""The reference graph's models as one would call them without Motet: what bench/serve.py takes for the limit.

MiniLM-L6 as torch exports it to ONNX, texts padded to the longest of a batch; a matrix product and NumPy's choice of
the 100 highest; the ranker. No graph, no HTTP, no JSON. It is no benchmark itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from _reference import Embed
from tokenizers import Tokenizer
from torch import Tensor, nn

from motet import sessions, weights
from motet.batch import Array
from motet.models.content.minilm_graph import read_safetensors
from motet.models.content.minilm_shape import HEADS, LAYERS, POSITIONS, WIDTH

EPSILON = 1e-12
LONGEST = 128  # tokens of a text that are read


class Layer(nn.Module):
    """One layer of BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.first, self.second = (nn.LayerNorm(WIDTH, EPSILON) for _ in range(2))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (self._heads(each(x)) for each in (self.query, self.key, self.value))
        near = q @ k.transpose(-1, -2) / (WIDTH / HEADS) ** 0.5
        seen = torch.softmax(near + mask, -1) @ v
        x = self.first(x + self.out(seen.transpose(1, 2).flatten(2)))
        return self.second(x + self.narrow(nn.functional.gelu(self.wide(x))))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)


class Encoder(nn.Module):
    """Token ids and their mask, both int64[texts, tokens], to vectors of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(30_522, WIDTH), nn.Embedding(2 * POSITIONS, WIDTH)
        self.types, self.norm = nn.Embedding(2, WIDTH), nn.LayerNorm(WIDTH, EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1])
        x = self.norm(self.words(ids) + self.positions(places) + self.types(torch.zeros_like(ids)))
        hidden = (1.0 - mask[:, None, None, :].to(x.dtype)) * -1e9
        for layer in self.layers:
            x = layer(x, hidden)
        weight = mask[..., None].to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1)
        return mean / mean.norm(dim=1, keepdim=True)


NAMES = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "first",
    "intermediate.dense": "wide",
    "output.dense": "narrow",
    "output.LayerNorm": "second",
    "encoder.layer": "layers",
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "types",
    "embeddings.LayerNorm": "norm",
}


def write_encoder(file: Path) -> None:
    """MiniLM-L6 with its published weights, as torch exports it."""
    encoder, found = Encoder(), read_safetensors(weights.path("minilm-l6/weights"))
    encoder.load_state_dict({_called(name): torch.from_numpy(value) for name, value in found.items() if _kept(name)})
    ids = torch.randint(5, 1_000, (2, 10))
    ragged = {0: "texts", 1: "tokens"}
    torch.onnx.export(
        encoder.eval(),
        (ids, torch.ones_like(ids)),
        str(file),
        input_names=["ids", "mask"],
        output_names=["vectors"],
        dynamic_axes={"ids": ragged, "mask": ragged, "vectors": {0: "texts"}},
        opset_version=17,
        dynamo=False,
    )


def _kept(name: str) -> bool:
    return not name.startswith("pooler") and not name.endswith("position_ids")


def _called(name: str) -> str:
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def embedder(encoder: Path, cores: int = 1) -> Embed:
    """Texts to vectors by the exported encoder, on so many threads, padded to the longest."""
    tokenizer: Any = Tokenizer.from_file(str(weights.path("minilm-l6/tokenizer")))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding()
    session = sessions.opened(str(encoder), cores)

    def embed(texts: list[str]) -> Array:
        read = tokenizer.encode_batch(texts)
        ids, mask = (np.array([getattr(each, name) for each in read], np.int64) for name in ("ids", "attention_mask"))
        return session.run(None, {"ids": ids, "mask": mask})[0]

    return embed
