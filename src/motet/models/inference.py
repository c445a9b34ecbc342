"""A client of the Open Inference Protocol, version 2, over HTTP, which KServe, Triton, MLServer and Motet speak."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import struct
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote, urlsplit

import numpy as np

from motet.batch import Array
from motet.errors import RunError

NUMBERS: Mapping[str, Any] = {
    "FP64": np.float64,
    "FP32": np.float32,
    "FP16": np.float16,
    "INT64": np.int64,
    "INT32": np.int32,
    "INT16": np.int16,
    "INT8": np.int8,
    "UINT64": np.uint64,
    "UINT32": np.uint32,
    "UINT16": np.uint16,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
}
UNREADABLE = (KeyError, TypeError, ValueError, OverflowError)  # what JSON of another form is met with
LENGTH = "Inference-Header-Content-Length"
PIECE = 1 << 16
SAID = 300  # letters of an endpoint's own words that a message repeats


@dataclass(frozen=True)
class Tensor:
    """What a model says of one of its inputs or outputs. shape: -1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.datatype} {list(self.shape)}"


@dataclass(frozen=True)
class Card:
    """What a model says of itself; some say nothing of tensors. binary: whether it reads bytes behind the JSON."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    binary: bool


class Client:
    """One model behind a URL. Safe to use from several threads."""

    def __init__(self, url: str, model: str, revision: str) -> None:
        parts = urlsplit(url)
        self._host, self._secure = parts.netloc, parts.scheme == "https"
        self._root = parts.path.rstrip("/")
        self._model = f"/v2/models/{quote(model, safe='')}" + (f"/versions/{quote(revision, safe='')}" * bool(revision))
        self._name, self._url = model, url
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._card: Card | None = None
        weakref.finalize(self, _closed, self._idle)

    def card(self, until: float) -> Card:
        """What the model says of itself, asked once. until: as time.monotonic() tells it."""
        if self._card is None:
            about = self._call("GET", "/v2", b"", {}, until)
            card = self._call("GET", self._model, b"", {}, until)
            try:
                inputs, outputs = (_tensors(card.get(side)) for side in ("inputs", "outputs"))
                self._card = Card(inputs, outputs, "binary_tensor_data" in (about.get("extensions") or ()))
            except UNREADABLE as error:
                raise self._failed(f"its description cannot be read: {type(error).__name__}: {error}") from None
        return self._card

    def infer(self, inputs: Mapping[Tensor, Array], output: str, until: float) -> Mapping[str, Array]:
        """The outputs for these inputs; all of them where none is named. Errors: RunError, also when it is late."""
        binary = self.card(until).binary
        cards, behind = [_given(tensor, array, binary) for tensor, array in inputs.items()], list[bytes]()
        request: dict[str, Any] = {"inputs": [card for card, _ in cards]}
        behind = [raw for _, raw in cards if raw is not None]
        if output:
            request["outputs"] = [{"name": output}]
        front = json.dumps(request).encode()
        headers = {"Content-Type": "application/octet-stream" if behind else "application/json"}
        headers |= {LENGTH: str(len(front))} if behind else {}
        reply = self._call("POST", f"{self._model}/infer", front + b"".join(behind), headers, until)
        given = reply.get("outputs")
        if not isinstance(given, list):
            raise self._failed("its answer has no outputs")
        try:
            return {str(each["name"]): _read(each) for each in cast("list[dict[str, Any]]", given)}
        except UNREADABLE as error:
            raise self._failed(f"its answer cannot be read: {type(error).__name__}: {error}") from None

    def _call(self, method: str, path: str, body: bytes, headers: Mapping[str, str], until: float) -> dict[str, Any]:
        try:
            status, raw = self._sent(method, self._root + path, body, headers, until)
        except TimeoutError:
            raise self._failed("it is late") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(f"{type(error).__name__}: {error}") from None
        try:
            said = json.loads(raw)
        except ValueError:
            said = None
        if status != 200:
            told = (
                cast("dict[str, Any]", said).get("error") if isinstance(said, dict) else raw.decode("utf-8", "replace")
            )
            raise self._failed(f"HTTP {status}: {str(told)[:SAID]}")
        if not isinstance(said, dict):
            raise self._failed("its answer is no JSON object")
        return cast("dict[str, Any]", said)

    def _sent(self, method: str, path: str, body: bytes, headers: Mapping[str, str], until: float) -> tuple[int, bytes]:
        """Status and body. A kept connection that was closed meanwhile is replaced once; inference may be repeated."""
        for connection, kept in self._connections():
            try:
                _wait(connection, until)
                connection.request(method, path, body, dict(headers))
                response = connection.getresponse()
                raw = bytearray()
                # In pieces as they come: a timeout alone never ends an answer that trickles.
                while piece := response.read1(PIECE):
                    raw += piece
                    _wait(connection, until)
                response.close()  # else the connection is not free for the next request
            except TimeoutError:
                connection.close()
                raise
            except (OSError, http.client.HTTPException):
                connection.close()
                if not kept:
                    raise
                continue
            if response.will_close:
                connection.close()
            else:
                with self._lock:
                    self._idle.append(connection)
            return response.status, bytes(raw)
        raise OSError("no connection")

    def _connections(self) -> Iterator[tuple[http.client.HTTPConnection, bool]]:
        """An idle one, where there is one, and then a new one."""
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None:
            yield kept, True
        yield (http.client.HTTPSConnection if self._secure else http.client.HTTPConnection)(self._host), False

    def _failed(self, why: str) -> RunError:
        return RunError(
            f"the model {self._name!r} at {self._url} does not answer: {why}",
            help=f"start it, or correct url= and model=; to try it: curl {self._url.rstrip('/')}{self._model}",
        )


def client(url: str, model: str, revision: str) -> Client:
    """The client of a model, which all of this process share."""
    return _client(url, model, revision, os.getpid())


@lru_cache(maxsize=64)
def _client(url: str, model: str, revision: str, process: int) -> Client:
    # `process`: a forked child opens connections of its own.
    return Client(url, model, revision)


def _closed(connections: list[http.client.HTTPConnection]) -> None:
    for connection in connections:
        connection.close()


def _wait(connection: http.client.HTTPConnection, until: float) -> None:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.timeout = left
    if connection.sock is not None:
        with contextlib.suppress(OSError):  # the answer may have ended with the connection
            connection.sock.settimeout(left)


def _tensors(given: Any) -> tuple[Tensor, ...]:
    found = cast("list[dict[str, Any]]", given) if isinstance(given, list) else []
    return tuple(Tensor(str(e["name"]), str(e["datatype"]), tuple(int(n) for n in e.get("shape") or ())) for e in found)


def _given(tensor: Tensor, array: Array, binary: bool) -> tuple[dict[str, Any], bytes | None]:
    """An input as JSON, with its bytes where they are to follow."""
    card: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(array.shape)}
    if binary:
        raw = _packed(array, tensor.datatype)
        return card | {"parameters": {"binary_data_size": len(raw)}}, raw
    return card | {"data": array.reshape(-1).tolist()}, None


def _packed(array: Array, datatype: str) -> bytes:
    if datatype != "BYTES":
        return np.ascontiguousarray(array).tobytes()
    texts = [str(text).encode("utf-8", "replace") for text in array.reshape(-1).tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _read(output: Mapping[str, Any]) -> Array:
    """An output as an array; null is a missing number, and "" a missing text."""
    datatype, flat = output["datatype"], _flat(cast("Sequence[Any]", output["data"]))
    shape = [int(n) for n in output["shape"]]
    if datatype == "BYTES":
        made = np.empty(len(flat), object)
        made[:] = ["" if value is None else str(value) for value in flat]
    else:
        made = np.array([math.nan if value is None else value for value in flat], np.float64)
    return made.reshape(shape)


def _flat(data: Sequence[Any]) -> list[Any]:
    flat = list(data)
    while flat and isinstance(flat[0], list):
        flat = [value for row in flat for value in row]
    return flat
