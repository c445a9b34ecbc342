"""The packaged weights in eight bits: the same numbers, another form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motet import weights
from motet.errors import RunError
from motet.llm.gguf import _from_four_bits, _parts, _to_eight_bits, in_eight_bits


def test_weights_stay_what_they_are() -> None:
    _, tensors = _parts(memoryview(weights.path("smollm2-135m").read_bytes()))
    tensor = next(each for each in tensors if each.kind == 3)
    n = int(np.prod(tensor.shape)) // 32
    four = _from_four_bits(np.frombuffer(tensor.data, np.uint8, n * 20).reshape(n, 20))
    eight = _to_eight_bits(four)
    assert eight.shape == (n, 34)
    back = eight[:, 2:].view(np.int8) * eight[:, :2].copy().view(np.float16).astype(np.float32)
    assert np.all(np.abs(back - four).max(axis=1) <= 0.005 * np.abs(four).max(axis=1))


def test_everything_else_is_kept(tmp_path: Path) -> None:
    source = weights.path("smollm2-135m")
    head, before = _parts(memoryview(source.read_bytes()))
    again, after = _parts(memoryview(in_eight_bits(source, tmp_path / "wide.gguf").read_bytes()))
    assert again == head
    assert [(t.name, t.shape) for t in after] == [(t.name, t.shape) for t in before]
    assert {t.kind for t in after} == {0, 8}
    for old, new in zip(before, after, strict=True):
        if old.kind != 3:
            assert bytes(new.data[: len(old.data)]) == bytes(old.data)[: len(new.data)]


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"nothing like it, but long enough")
    with pytest.raises(RunError, match="GGUF"):
        in_eight_bits(file, tmp_path / "y.gguf")
