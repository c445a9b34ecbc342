"""The config: what it refuses, and what identifies a model."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from motet.errors import GraphError, RunError
from motet.llm import LLM

URL = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: LLM(""), "has a name"),
        (lambda: LLM("smollm2-135"), "did you mean 'smollm2-135m'"),
        (lambda: LLM("m", url="127.0.0.1:8000"), "no http"),
        (lambda: LLM("m", url="http://me:secret@host/v1"), "secret"),
        (lambda: LLM("smollm2-135m", api_key_env="KEY"), "no url"),
        (lambda: LLM("m", url=URL, seconds=0), "seconds=0"),
        (lambda: LLM("m", url=URL, parallel=0), "parallel=0"),
        (lambda: LLM("m", url=URL, retries=-1), "retries=-1"),
    ],
)
def test_a_config_that_means_nothing_is_refused(build, said: str) -> None:
    with pytest.raises(GraphError, match=said):
        build()


def test_an_unknown_argument_is_an_error() -> None:
    with pytest.raises(TypeError):
        LLM("smollm2-135m", secods=3)  # pyright: ignore[reportCallIssue]


def test_identity_follows_the_weights_not_the_settings(tmp_path: Path) -> None:
    file, copy = tmp_path / "a.gguf", tmp_path / "b.gguf"
    file.write_bytes(b"one")
    copy.write_bytes(b"one")
    first = LLM(str(file)).identity
    assert LLM(str(copy), seconds=5, parallel=2).identity == first
    file.write_bytes(b"other")
    assert LLM(str(file)).identity != first


def test_an_endpoints_identity_is_its_model_and_revision() -> None:
    here = LLM("m", url=URL)
    assert here.identity == LLM("m", url="https://elsewhere/v1", api_key_env="KEY", seconds=1).identity
    assert here.identity != LLM("n", url=URL).identity
    assert here.identity != LLM("m", url=URL, revision="2").identity


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(RunError, match=r"nothing\.gguf"):
        _ = LLM("nothing.gguf").identity


def test_travels_between_processes() -> None:
    llm = LLM("smollm2-135m")
    assert pickle.loads(pickle.dumps(llm)) == llm


def test_several_threads_open_one_runtime() -> None:
    llm = LLM("opened by several", url=URL)
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: llm.open(), range(8)))
    assert all(client is opened[0] for client in opened)
    opened[0].close()
