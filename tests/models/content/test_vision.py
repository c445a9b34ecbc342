"""What is seen in pictures, with small files made here; the packaged model on two photographs of scikit-learn."""

from __future__ import annotations

import base64
import io
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper

import motet as mt
from motet import pictures
from motet.batch import Batch
from motet.errors import DataError, GraphError, RunError
from motet.graph import Graph
from motet.model import NOTHING
from motet.models.content.vision import ClassifyImage, EmbedImage
from motet.pictures import Unreadable

images = pytest.importorskip("PIL.Image")


class Film(mt.Entity):
    film_id: mt.Key
    poster: mt.Image


class Upload(mt.Event):
    at: mt.Time
    photo: mt.Image = mt.default(None)
    film: Film = mt.outcome()


def png(red: int = 0, green: int = 0, blue: int = 0, size: tuple[int, int] = (8, 6), kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    images.new("RGB", size, (red, green, blue)).save(made, kind)
    return made.getvalue()


def url(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def file(folder: Path, size: int = 4, outputs: tuple[str, ...] = ("out",), rows: Any = "n") -> Path:
    """A model that gives the mean of red, green and blue."""
    path = folder / f"mean-{size}-{len(outputs)}.onnx"
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 3, size, size])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in outputs]
    nodes = [helper.make_node("ReduceMean", ["x"], [name], axes=[2, 3], keepdims=0) for name in outputs]
    graph = helper.make_graph(nodes, "g", [given], made)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.fixture
def embed(tmp_path: Path) -> EmbedImage:
    return mt.EmbedImage(file(tmp_path), size=4, mean=(0, 0, 0), std=(255, 255, 255))


def batch(*held: bytes | None) -> Batch:
    return Batch({"image": pa.array(held, pa.large_binary())}, rows=len(held))


def test_a_picture_is_a_vector_of_length_1(embed: EmbedImage) -> None:
    made = embed.apply(NOTHING, batch(png(red=255), png(green=9, blue=9), png(red=255, size=(300, 20), kind="BMP")))
    assert np.allclose(made, [[1, 0, 0], [0, 0.5**0.5, 0.5**0.5], [1, 0, 0]])


def test_a_picture_that_cannot_be_seen_is_nothing_with_a_reason(
    embed: EmbedImage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pictures, "PIXELS", 100)
    monkeypatch.setattr(images, "MAX_IMAGE_PIXELS", 1000)
    bomb = png(size=(60, 60))
    held = [None, b"no picture", png(size=(20, 20)), png(red=1)[:40], bomb, pictures.of_path("nowhere.png"), png(red=9)]
    made: Any = embed.apply(NOTHING, batch(*held))
    assert made.any(axis=1).tolist() == [False] * 6 + [True]
    said = ["no picture", "cannot be decoded", "more than", "cannot be decoded", "more than", "no file can be read"]
    assert all(why in problem for why, problem in zip(said, made.problems, strict=False))
    assert made.problems[-1] is None
    assert list(made.passing) == [False] * 5 + [True, False]


def test_what_is_prepared_is_kept_row_by_row_and_reasons_are_counted(embed: EmbedImage, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png(red=200))
    rows: list[dict[str, Any]] = [
        {"film_id": 1, "poster": str(tmp_path / "red.png")},
        {"film_id": 2, "poster": str(tmp_path / "gone.png")},
        {"film_id": 3, "poster": None},
    ]
    look = embed(Film.poster)
    fitted = Graph(look=look).fit(mt.Data({Film: rows}), store=tmp_path / "store", quiet=True)
    assert fitted.prepare().new == 3
    vectors = np.asarray(fitted.context(fitted.data).shared(look))
    assert np.allclose(vectors, [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    (tmp_path / "gone.png").write_bytes(png(blue=200))
    assert fitted.prepare().new == 1  # the file that was not there is looked for again, and nothing else


def test_bytes_paths_and_urls_are_one_column(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(red=7))
    for given in (png(red=7), str(tmp_path / "a.png"), url(png(red=7))):
        data = mt.Data({Film: [{"film_id": 1, "poster": given}]})
        held = data.tables[Film].columns["poster"]
        assert pictures.content(held[0].as_py()) == png(red=7)  # pyright: ignore


def test_who_asks_cannot_read_files_here(embed: EmbedImage, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(red=7))
    data = mt.Data({Film: [{"film_id": 1, "poster": None}], Upload: [{"at": 1, "film": 1}, {"at": 2, "film": 1}]})
    fitted = Graph(look=embed(Upload.photo), same=Upload.photo).fit(data, store=tmp_path / "store", quiet=True)
    answer = fitted.ask(photo=url(png(green=200)))
    assert np.allclose(answer["look"], [0, 1, 0])
    assert answer["same"] == url(png(green=200))
    forged = f"data:image/png;base64,{base64.b64encode(b'file:' + str(secret).encode()).decode()}"
    for given in (str(secret), f"file:{secret}", forged, "data:image/png;base64,%%%"):
        with pytest.raises(DataError, match=r"Upload\.photo: no picture: (.|\n)*data:image"):
            fitted.ask(photo=given)
    with pytest.raises(DataError, match="needs pictures"):
        fitted.ask(photo=b"file:" + str(secret).encode())
    with pytest.raises(DataError, match="needs pictures"):
        mt.Data({Film: [{"film_id": 1, "poster": 3.5}]})


def test_a_changed_picture_is_a_new_row_and_a_new_state(embed: EmbedImage) -> None:
    def token(picture: bytes | None) -> str:
        return mt.Data({Film: [{"film_id": 1, "poster": picture}]}).token(Film, "poster")

    assert token(png(red=1)) == token(png(red=1))
    assert len({token(png(red=1)), token(png(red=2)), token(None)}) == 3


def test_logits_become_a_label(tmp_path: Path) -> None:
    colour = mt.ClassifyImage(file(tmp_path), size=4, labels=("red", "green", "blue"))
    made = colour.apply(NOTHING, batch(png(green=200), None))
    assert made["label"].codes.tolist() == [1, -1]
    assert made["confidence"][0] > 0.5
    assert made.problems == (None, "there is no picture")
    with pytest.raises(RunError, match="3 numbers a picture, and there are 2 labels"):
        mt.ClassifyImage(file(tmp_path), size=4, labels=("a", "b")).apply(NOTHING, batch(png()))


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda folder: mt.EmbedImage("efficientnet"), "did you mean 'efficientnet-lite0'"),
        (lambda folder: mt.EmbedImage("nowhere.onnx"), "no file nowhere.onnx"),
        (lambda folder: mt.EmbedImage(file(folder)), r"no picture of \[n, 3, 224, 224\]\nhelp: size=4"),
        (lambda folder: mt.EmbedImage(file(folder, outputs=("a", "b")), size=4), "several outputs: a, b"),
        (lambda folder: mt.EmbedImage(file(folder), size=4, output="b"), "no output 'b'"),
        (lambda folder: mt.EmbedImage(file(folder, rows=8), size=4), r"reads x: tensor\(float\) \[8, 3, 4, 4\]"),
        (lambda folder: mt.EmbedImage(crop=2), "crop=2"),
        (lambda folder: mt.EmbedImage(std=(0, 1, 1)), "three numbers"),
        (lambda folder: mt.ClassifyImage(file(folder), size=4), "needs the labels"),
        (lambda folder: mt.ClassifyImage(labels=("a", "b")), "knows its own labels"),
        (lambda folder: mt.EmbedImage()(KEY), "reads image as Image"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_built(tmp_path: Path, build: Any, says: str) -> None:
    with pytest.raises(GraphError, match=says) as refused:
        build(tmp_path)
    assert refused.value.help


KEY: Any = Film.film_id


def test_another_cut_is_another_model(embed: EmbedImage, tmp_path: Path) -> None:
    assert embed.identity() == EmbedImage(file(tmp_path), size=4, mean=(0, 0, 0), std=(255, 255, 255)).identity()
    others = (EmbedImage(file(tmp_path), size=4), EmbedImage(), ClassifyImage())
    assert len({each.identity() for each in (embed, *others)}) == 4


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LARGEST", 10)
    (tmp_path / "large.png").write_bytes(png())
    with pytest.raises(Unreadable, match="larger than"):
        pictures.content(pictures.of_path(str(tmp_path / "large.png")))


def test_the_packaged_model_knows_what_photographs_show() -> None:
    """A temple and a flower. Equal alone and among others, to the bit."""
    shown = [files("sklearn.datasets.images").joinpath(f"{name}.jpg").read_bytes() for name in ("china", "flower")]
    found = mt.ClassifyImage().apply(NOTHING, batch(*shown))
    assert [found["label"].names.names[int(code)].as_py() for code in found["label"].codes] == ["palace", "daisy"]
    assert ((found["confidence"] > 0.2) & (found["confidence"] < 1)).all()
    vectors = np.asarray(mt.EmbedImage().apply(NOTHING, batch(*shown)))
    assert vectors.shape == (2, 1280)
    assert np.allclose((vectors**2).sum(axis=1), 1)
    assert np.array_equal(vectors[:1], np.asarray(mt.EmbedImage().apply(NOTHING, batch(shown[0]))))
    assert vectors[0] @ vectors[1] < 0.6
