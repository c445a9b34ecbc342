"""What a vision model sees in a picture, by an ONNX file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa

from motet import pictures, sessions, weights
from motet.batch import Array, Batch, Codes, Vocabulary
from motet.clock import once
from motet.column import Category, Column, Image, Vector, column
from motet.errors import GraphError, RunError, listed
from motet.model import Model, State
from motet.models.behavior.outcome import checked, outcome
from motet.models.content.classify import Labelled
from motet.models.content.extract import Read
from motet.models.cores import threads
from motet.record import filled

KNOWN = ("efficientnet-lite0",)
_BUILD = 1  # raise it when the graph changes: it names the built file
Looked = tuple[Array | None, str | None, bool]
"""What a picture gave, or why it gave nothing, and whether that may pass."""


class Explained(np.ndarray[Any, Any]):
    """An array, and per row why there is nothing (None where there is) and whether that may pass."""

    problems: Sequence[str | None] = ()
    passing: Sequence[bool] = ()


@dataclass(frozen=True)
class Vision(Model):
    """How a picture is looked at: by which model, and how it is cut and scaled before.

    name: "efficientnet-lite0", or the path to an ONNX file that reads float32 [n, 3, size, size].
    output: which of the file's outputs, where it has several. size: pixels of a side. crop: which part of the shorter
    side is looked at, in the middle. mean, std: of red, green and blue from 0 to 255, taken off and divided by.
    """

    name: str | Path = "efficientnet-lite0"
    output: str = ""
    size: int = 224
    crop: float = 0.875
    mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)

    costly: ClassVar[bool] = True
    deep: ClassVar[bool] = True
    packaged: ClassVar[tuple[str, ...]] = KNOWN

    def __post_init__(self) -> None:
        example = f'{type(self).__name__}("efficientnet-lite0"), or the path to an ONNX file'
        if self.name not in KNOWN and not str(self.name).endswith(".onnx"):
            raise GraphError(f"no vision model is called {str(self.name)!r}; {listed(KNOWN, str(self.name))}", example)
        if self.name not in KNOWN and not Path(self.name).is_file():
            raise GraphError(f"there is no file {self.name}", help=example)
        checked(self, "size", 1)
        if not 0 < self.crop <= 1:
            raise GraphError(f"crop={self.crop} is no part of a picture", help="crop=0.875")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise GraphError("mean and std are three numbers each, std above zero", help="std=(128, 128, 128)")
        if self.name in KNOWN and self.output:
            raise GraphError(f"{self.name} has no outputs to choose from", help="leave output out")
        if self.name not in KNOWN:
            self._check_file()

    def _check_file(self) -> None:
        session = self._opened()
        inputs = session.get_inputs()
        shape = [*inputs[0].shape] if inputs else []
        wide = [each for each in shape[2:] if isinstance(each, int) and each != self.size]
        if (
            len(inputs) != 1
            or inputs[0].type != "tensor(float)"
            or len(shape) != 4
            or shape[1] not in (3, None)
            or (isinstance(shape[0], int) and shape[0] != 1)
            or wide
        ):
            told = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs) or "nothing"
            help = f"size={wide[0]}" if wide else "export it to read float32 [n, 3, height, width]"
            raise GraphError(f"{self.name} reads {told}, and no picture of [n, 3, {self.size}, {self.size}]", help)
        sessions.output_of(session, self.name, self.output)

    def looked(self, images: pa.Array, output: str) -> list[Looked]:
        """What each picture gives. A picture is looked at alone, so it gives the same in every batch."""
        session = self._opened()
        given, made = session.get_inputs()[0].name, sessions.output_of(session, self.name, output).name

        def one(held: bytes | None) -> Looked:
            try:
                pixels = pictures.pixels(held, self.size, self.crop)
            except pictures.Unreadable as error:
                return None, str(error), "no file" in str(error)
            x = ((pixels - np.array(self.mean)) / self.std).transpose(2, 0, 1)[None].astype(np.float32)
            return sessions.run(session, made, {given: x}, self).astype(np.float32).reshape(-1), None, False

        held = cast("list[bytes | None]", images.to_pylist())
        pictures.library()  # said once, not as every picture's problem
        if len(held) < 2 or threads() == 1:
            return [one(each) for each in held]
        with ThreadPoolExecutor(threads()) as pool:
            return list(pool.map(one, held))

    def block(self) -> int:
        return 64

    def identity(self) -> str:
        cut = f"{self.size} {self.crop} {self.mean} {self.std}"
        return f"{type(self).__module__}.{type(self).__name__}/{self.version} {self._digest} {self.output} {cut}"

    @cached_property
    def _digest(self) -> str:
        if self.name in KNOWN:
            return weights.sha256(f"{self.name}/weights")
        return hashlib.sha256(Path(self.name).read_bytes()).hexdigest()

    def _opened(self) -> Any:
        return _session(str(self.name), self._digest)


@dataclass(frozen=True)
class EmbedImage(Vision):
    """A vector per picture, of length 1: near vectors mean that pictures look alike.

    name: "efficientnet-lite0", 1,280 numbers a picture; or the path to an ONNX file that reads float32
        [n, 3, size, size] and gives [n, d]. See `Vision` for the others.
    Call: EmbedImage()(Film.poster). A picture that is missing, broken or too large is the zero vector, which is near to
        nothing, and the reason is counted; the other pictures stand.
    Errors: a name or file that does not exist, a file of other inputs; RunError where the weights cannot be fetched.
    Source: Tan & Le 2019 (arXiv 1905.11946).
    """

    def __call__(self, image: Image) -> Vector:
        return column(Vector, self, image=image)

    def apply(self, state: State, batch: Batch) -> Array:
        seen = self.looked(batch["image"], "features" if self.name in KNOWN else self.output)
        width = next((len(made) for made, _, _ in seen if made is not None), self._width)
        vectors = np.zeros((len(seen), width), np.float32)
        for row, (made, _, _) in enumerate(seen):
            if made is not None:
                vectors[row] = made / max(float(np.sqrt((made * made).sum())), 1e-12)
        told = vectors.view(Explained)
        told.problems, told.passing = [why for _, why, _ in seen], [again for *_, again in seen]
        return told

    @property
    def _width(self) -> int:
        """Of a vector, for pictures none of which can be read."""
        output = "features" if self.name in KNOWN else self.output
        shape = sessions.output_of(self._opened(), self.name, output).shape
        return shape[-1] if shape and isinstance(shape[-1], int) else 0


@dataclass(frozen=True)
class ClassifyImage(Vision):
    """What a picture shows, one label out of those that a vision model knows, and how sure it is.

    name: "efficientnet-lite0" knows the 1,000 labels of ImageNet; or the path to an ONNX file that reads float32
        [n, 3, size, size] and gives the labels' logits, [n, labels]. See `Vision` for the others.
    labels: what a file's logits stand for, in order.
    Call: shown = ClassifyImage()(Film.poster); then shown.label and shown.confidence. target: the outcome that an
        evaluation holds the label against. A picture that is missing, broken or too large has no label, and the reason
        is counted; the other pictures stand. For labels of your own: Classify()(EmbedImage()(Film.poster), target=...).
    Errors: a name or file that does not exist, a file of other inputs, as many labels as it has not.
    """

    labels: tuple[str, ...] = ()

    packaged: ClassVar[tuple[str, ...]] = (*KNOWN, "imagenet")

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.name in KNOWN) == bool(self.labels):
            why = "knows its own labels" if self.labels else "needs the labels that its logits stand for"
            raise GraphError(f"{self.name} {why}", help='ClassifyImage("mine.onnx", labels=("cat", "dog"))')

    def __call__(self, image: Image, target: Category | None = None) -> Labelled:
        held = None if target is None else outcome(self, target, (Category,))
        return filled(Labelled, column(Column, self, held_against=held, image=image))

    def apply(self, state: State, batch: Batch) -> Read:
        seen = self.looked(batch["image"], "logits" if self.name in KNOWN else self.output)
        names = _imagenet() if self.name in KNOWN else _vocabulary(self.labels)
        codes, sure = np.full(len(seen), -1, np.int32), np.full(len(seen), np.nan)
        for row, (logits, _, _) in enumerate(seen):
            if logits is None:
                continue
            if len(logits) != len(names):
                raise RunError(
                    f"{self.name} gives {len(logits)} numbers a picture, and there are {len(names)} labels",
                    help="give one label for each, in their order",
                )
            likely = np.exp(logits.astype(np.float64) - logits.max())
            codes[row], sure[row] = int(likely.argmax()), float(likely.max() / likely.sum())
        columns = {"label": Codes(codes, names), "confidence": sure}
        return Read(columns, [why for _, why, _ in seen], [again for *_, again in seen])

    def identity(self) -> str:
        known = weights.sha256("imagenet/labels") if self.name in KNOWN else self.labels
        return f"{super().identity()} {known}"


@lru_cache(maxsize=8)
@once()
def _session(name: str, digest: str) -> Any:
    built = weights.home() / "built"
    if name not in KNOWN:
        return sessions.of_file(Path(name), digest, built)
    file = built / f"{name}-{digest[:16]}-{_BUILD}.onnx"
    if not file.is_file():
        from motet.models.content.efficientnet_graph import write

        write(file, weights.path(f"{name}/weights"))
    return sessions.opened(str(file))


@lru_cache(maxsize=1)
@once()
def _imagenet() -> Vocabulary:
    return _vocabulary(tuple(_distinct(json.loads(weights.path("imagenet/labels").read_text("utf-8")))))


def _distinct(names: list[str]) -> list[str]:
    """The names, those that came before with a number behind: two kinds of crane are two labels."""
    counts: dict[str, int] = {}
    made: list[str] = []
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        made.append(name if counts[name] == 1 else f"{name} {counts[name]}")
    return made


@lru_cache(maxsize=8)
def _vocabulary(names: tuple[str, ...]) -> Vocabulary:
    return Vocabulary(pa.array(names, pa.large_string()))
