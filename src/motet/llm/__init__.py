"""Language models: a local GGUF file run in this process, or any OpenAI-compatible endpoint."""

from __future__ import annotations

import atexit
import functools
import hashlib
import math
import os
import threading
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from motet import weights
from motet.clock import once
from motet.errors import GraphError, RunError, listed
from motet.llm.account import carried
from motet.llm.client import Client, Prompt, Reply, Schema, Usage
from motet.llm.gguf import in_eight_bits

__all__ = ["LLM", "PACKAGED", "Client", "Prompt", "Reply", "Schema", "Usage", "carried", "llm_of"]

PACKAGED = ("smollm2-135m",)


@dataclass(frozen=True)
class LLM:
    """A language model by name: packaged, a `.gguf` file, or one that an endpoint serves.

    LLM("smollm2-135m")
    LLM("models/mine.gguf")
    LLM("gpt-5-mini", url="https://api.openai.com/v1", api_key_env="OPENAI_API_KEY")

    url: an OpenAI-compatible endpoint, up to and with its `/v1`.
    api_key_env: the environment variable that holds the endpoint's key; read when opened, kept nowhere.
    revision: raise it when an endpoint serves other weights under the same name.
    context: tokens of one prompt and its reply. In process only.
    parallel: prompts that are worked on at once.
    threads: cores that work on one prompt together. In process only: 1 answers the most prompts, more answer
        a single one sooner while nothing else runs.
    seconds: the most one prompt may take, where a call says nothing else.
    retries: how often a prompt is tried again after a 429, a 5xx or a lost connection.
    gpus: GPUs that an endpoint of yours takes, for mt.Prices(gpu_hour=): its time is billed while it works for this
        process, shared evenly by the calls of that time. One that is paid for by tokens has none.
    Raises GraphError for a config that cannot mean anything.
    """

    model: str
    _: KW_ONLY
    url: str = ""
    api_key_env: str = ""
    revision: str = ""
    context: int = 1024
    parallel: int = 8
    threads: int = 1
    seconds: float = 60.0
    retries: int = 3
    gpus: float = 0

    def __post_init__(self) -> None:
        problem, help = _wrong_place(self) or _wrong_figure(self) or ("", "")
        if problem:
            raise GraphError(f"LLM({self.model!r}): {problem}", help=help)

    @property
    def identity(self) -> str:
        """Changes when the weights do, as far as that can be known: part of fingerprints.

        A file is known by its content, wherever it lies; an endpoint's model by its name and revision,
        wherever it is served. Deadlines, parallelism and keys change no value, so they are not in it.
        """
        if self.url:
            return f"endpoint:{self.model}" + (f"@{self.revision}" if self.revision else "")
        if self.model in PACKAGED:
            return f"gguf:{weights.sha256(self.model)}/q8_0"
        file = self.file()
        return f"gguf:{_sha256(file, file.stat().st_size, file.stat().st_mtime_ns)}"

    def file(self) -> Path:
        """The weights on this machine, fetched if they are packaged. RunError where there are none."""
        if self.model in PACKAGED:
            built = f"{self.model}-{weights.sha256(self.model)[:16]}-q8_0.gguf"
            return in_eight_bits(weights.path(self.model), weights.home() / "built" / built)
        file = Path(self.model).expanduser()
        if not file.is_file():
            raise RunError(f"there is no model file {self.model!r}", help='mt.LLM("smollm2-135m")')
        return file

    def open(self) -> Client:
        """The running model: loaded at the first call, shared in this process, closed when it exits."""
        # One thread at a time: else several that ask at once would each load the model.
        with _opening.setdefault(os.getpid(), threading.Lock()):
            return _opened(self, os.getpid())


def llm_of(model: Any) -> LLM | None:
    """The language model that a model calls, None where it calls none."""
    found = getattr(model, "llm", None)
    return found if isinstance(found, LLM) else None


def llm_named(model: Any) -> str:
    """The name that its tokens are priced by, empty where a model calls no language model."""
    llm = llm_of(model)
    return llm.model if llm else ""


_opening: dict[int, threading.Lock] = {}
"""By process: a fork may happen while its parent opens a model."""


@functools.lru_cache(maxsize=8)
@once()
def _opened(llm: LLM, process: int) -> Client:
    # `process` keeps a forked child from using threads that only its parent has.
    if llm.url:
        from motet.llm.openai import Endpoint as Runtime
    else:
        from motet.llm.local import Local as Runtime
    client = Runtime(llm)
    atexit.register(client.close)
    return client


@functools.lru_cache(maxsize=64)
def _sha256(file: Path, size: int, modified_ns: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _wrong_place(llm: LLM) -> tuple[str, str] | None:
    if not llm.model:
        return "a model has a name", 'mt.LLM("smollm2-135m")'
    if llm.url:
        return _wrong_url(llm)
    if llm.gpus:
        return "what runs in this process takes no GPU", "mt.Prices(cpu_hour=0.04)"
    if llm.api_key_env or llm.revision:
        return "api_key_env and revision belong to an endpoint, and there is no url", _ENDPOINT
    if llm.model in PACKAGED or llm.model.endswith(".gguf"):
        return None
    return f"no packaged model, no .gguf file and no url; {listed(PACKAGED, llm.model)}", _ENDPOINT


def _wrong_url(llm: LLM) -> tuple[str, str] | None:
    parts = urlsplit(llm.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"{llm.url!r} is no http(s) address", _ENDPOINT
    if parts.username or parts.password or parts.query:
        return "the url holds a secret; name the variable that holds it instead", _ENDPOINT
    return None


def _wrong_figure(llm: LLM) -> tuple[str, str] | None:
    if not 0 <= llm.gpus < math.inf:
        return f"gpus={llm.gpus} is no number of GPUs", "gpus=1"
    if llm.seconds <= 0:
        return f"seconds={llm.seconds} is not positive", "seconds=60"
    if min(llm.parallel, llm.threads) < 1 or llm.context < 64 or llm.retries < 0:
        found = f"parallel={llm.parallel}, threads={llm.threads}, context={llm.context}, retries={llm.retries}"
        return f"parallel and threads are 1 or more, context 64 or more, retries 0 or more; not {found}", "parallel=8"
    return None


_ENDPOINT = 'mt.LLM("model-name", url="http://host:8000/v1", api_key_env="MY_KEY")'
