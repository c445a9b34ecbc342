"""Tensors of the Open Inference Protocol: named, typed and shaped values as JSON or as bytes behind it."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import numpy as np

from motet.batch import Array
from motet.errors import listed
from motet.serve.http import decoded
from motet.serve.problems import Refused

ROWS = 1024  # of one request at most
NUMBERS: Mapping[str, Any] = {"FP64": np.dtype("<f8"), "FP32": np.dtype("<f4"), "INT64": np.dtype("<i8")}
LENGTH = "Inference-Header-Content-Length"
Object = dict[str, Any]


@dataclass(frozen=True)
class Spec:
    """What a tensor is to be. datatype: FP64, FP32, INT64 or BYTES, which are texts. shape: -1 is any length."""

    name: str
    datatype: str
    shape: tuple[int, ...] = (-1,)
    optional: bool = False

    @property
    def card(self) -> Object:
        made: Object = {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}
        return made | ({"parameters": {"optional": True}} if self.optional else {})


@dataclass(frozen=True)
class Asked:
    """One request. inputs: texts as an object array of str. binary: which outputs come as bytes, in order."""

    id: str
    inputs: Mapping[str, Array]
    rows: int
    binary: Mapping[str, bool]


def asked(body: bytes, length: str | None, inputs: Sequence[Spec], outputs: Sequence[Spec]) -> Asked:
    """A request, read. Refused: whatever does not fit what the model takes and gives."""
    head, raw = _split(body, length)
    specs = {spec.name: spec for spec in inputs}
    found: dict[str, Array] = {}
    for given in _objects(head, "inputs"):
        spec = _named(given, specs, "input")
        if spec.name in found:
            raise Refused(400, f"input {spec.name!r} is given twice")
        found[spec.name], raw = _tensor(given, spec, raw)
    if len(raw):
        raise Refused(400, f"{len(raw)} bytes belong to no input", "give each input its binary_data_size")
    missing = [spec.name for spec in inputs if not spec.optional and spec.name not in found]
    if missing:
        raise Refused(400, f"input {missing[0]!r} is not given", f"the model takes: {', '.join(specs)}")
    rows = {len(array) for array in found.values()}
    if len(rows) != 1:
        raise Refused(400, f"the inputs have {', '.join(map(str, sorted(rows)))} rows", "give each as many")
    return Asked(_id(head), found, rows.pop(), _wanted(head, outputs))


def _split(body: bytes, length: str | None) -> tuple[Object, memoryview]:
    """The JSON in front and the bytes behind it."""
    if length is not None and not (length.isdecimal() and len(length) < 12 and int(length) <= len(body)):
        raise Refused(400, f"{LENGTH} is {length!r}, and the body has {len(body)} bytes")
    end = len(body) if length is None else int(length)
    head = decoded(body[:end])
    if not isinstance(head, dict):
        raise Refused(400, "the body is no JSON object", 'send an object: {"inputs": [...]}')
    return cast(Object, head), memoryview(body)[end:]


def _id(head: Object) -> str:
    given = head.get("id", "")
    if not isinstance(given, str):
        raise Refused(400, "id is no text")
    return given


def _wanted(head: Object, outputs: Sequence[Spec]) -> dict[str, bool]:
    """The outputs that are asked for, all where none is named, and whether each comes as bytes."""
    usual = bool(_parameters(head, "the request").get("binary_data_output", False))
    named = _objects(head, "outputs") if "outputs" in head else []
    if not named:
        return {spec.name: usual for spec in outputs}
    specs, wanted = {spec.name: spec for spec in outputs}, dict[str, bool]()
    for given in named:
        name = _named(given, specs, "output").name
        how = _parameters(given, f"output {name!r}")
        _no_shared_memory(how)
        if "classification" in how:
            raise Refused(400, f"output {name!r} is no classification", "leave the parameter out")
        wanted[name] = bool(how.get("binary_data", usual))
    return wanted


def _objects(head: Object, name: str) -> list[Object]:
    given = head.get(name)
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in cast("list[Any]", given)):
        raise Refused(400, f"{name} is no list of objects", f'{{"{name}": [{{"name": ...}}]}}')
    return cast("list[Object]", given)


def _named(given: Object, specs: Mapping[str, Spec], what: str) -> Spec:
    name = given.get("name")
    if not isinstance(name, str) or name not in specs:
        near = name if isinstance(name, str) else ""
        raise Refused(400, f"the model has no {what} {str(name)[:60]!r}", listed(specs, near))
    return specs[name]


def _parameters(given: Object, where: str) -> Object:
    found = given.get("parameters", {})
    if not isinstance(found, dict):
        raise Refused(400, f"the parameters of {where} are no object")
    return cast(Object, found)


def _no_shared_memory(parameters: Object) -> None:
    if any(name.startswith("shared_memory") for name in parameters):
        raise Refused(400, "shared memory is not supported", "send the tensor's data")


def _tensor(given: Object, spec: Spec, raw: memoryview) -> tuple[Array, memoryview]:
    """One input, and the bytes that are left for the others."""
    where = f"input {spec.name!r}"
    if given.get("datatype") != spec.datatype:
        raise Refused(400, f"{where} is {spec.datatype}, not {str(given.get('datatype'))[:60]}")
    shape = _shape(given.get("shape"), spec)
    parameters = _parameters(given, where)
    _no_shared_memory(parameters)
    size: Any = parameters.get("binary_data_size")
    if size is None:
        flat = _listed(given.get("data"), spec, where)
    elif not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(raw) or "data" in given:
        raise Refused(400, f"{where} has binary_data_size {str(size)[:60]}, and {len(raw)} bytes are left for it")
    else:
        flat, raw = _bytes(raw[:size], spec, where), raw[size:]
    if len(flat) != math.prod(shape):
        raise Refused(400, f"{where} has {len(flat)} values for the shape {list(shape)}")
    return flat.reshape(shape), raw


def _shape(given: Any, spec: Spec) -> tuple[int, ...]:
    sizes = cast("list[Any]", given) if isinstance(given, list) else []
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes)
    fits = len(sizes) == len(spec.shape) and all(own in (-1, n) for own, n in zip(spec.shape, sizes, strict=True))
    if not (whole and fits):
        said = str(cast(Any, given))[:60]
        raise Refused(400, f"input {spec.name!r} has the shape {list(spec.shape)}, -1 being any, not {said}")
    if not 1 <= sizes[0] <= ROWS:
        raise Refused(400, f"input {spec.name!r} has {sizes[0]} rows", f"send 1 to {ROWS} at once")
    return tuple(sizes)


def _listed(given: Any, spec: Spec, where: str) -> Array:
    """The values in JSON, nested as the shape is or flat. null is a missing number."""
    if not isinstance(given, list):
        raise Refused(400, f"{where} has no data", '"data": [...]')
    flat = _flat(cast("list[Any]", given), len(spec.shape))
    kinds = {"BYTES": (str,), "INT64": (int,)}.get(spec.datatype, (int, float, type(None)))
    wrong = next((value for value in flat if not isinstance(value, kinds) or isinstance(value, bool)), flat)
    if wrong is not flat:
        raise Refused(400, f"{where} is {spec.datatype}, and holds {str(wrong)[:60]!r}")
    if spec.datatype == "BYTES":
        return _texts(flat)
    try:
        return np.array([math.nan if value is None else value for value in flat], NUMBERS[spec.datatype])
    except OverflowError:
        raise Refused(400, f"{where} holds a number that is no {spec.datatype}") from None


def _flat(given: list[Any], deep: int) -> list[Any]:
    if deep < 2 or not any(isinstance(each, list) for each in given):
        return given
    rows: list[list[Any]] = [each if isinstance(each, list) else [each] for each in given]
    return [value for row in rows for value in row]


def _bytes(raw: memoryview, spec: Spec, where: str) -> Array:
    if spec.datatype != "BYTES":
        kind = NUMBERS[spec.datatype]
        if len(raw) % kind.itemsize:
            raise Refused(400, f"{where} has {len(raw)} bytes, and a value has {kind.itemsize}")
        return np.frombuffer(raw, kind)
    texts: list[str] = []
    while len(raw):
        size = struct.unpack_from("<I", raw)[0] if len(raw) >= 4 else len(raw)
        if size > len(raw) - 4:
            raise Refused(400, f"{where} ends within a text", "a text is its length, 4 bytes little-endian, and itself")
        try:
            texts.append(bytes(raw[4 : 4 + size]).decode())
        except UnicodeDecodeError:
            raise Refused(400, f"{where} holds a text that is no UTF-8") from None
        raw = raw[4 + size :]
    return _texts(texts)


def _texts(texts: Sequence[str]) -> Array:
    made = np.empty(len(texts), object)
    made[:] = texts
    return made


def told(head: Object, tensors: Mapping[str, Array], specs: Sequence[Spec], binary: Mapping[str, bool]) -> Said:
    """A response with these outputs, in the order that they were asked for."""
    kinds = {spec.name: spec.datatype for spec in specs}
    outputs, behind = list[Object](), list[bytes]()
    for name, as_bytes in binary.items():
        array = tensors[name]
        card: Object = {"name": name, "datatype": kinds[name], "shape": list(array.shape)}
        if as_bytes:
            behind.append(_packed(array, kinds[name]))
            outputs.append(card | {"parameters": {"binary_data_size": len(behind[-1])}})
        else:
            outputs.append(card | {"data": array.ravel().tolist()})
    front = msgspec.json.encode(head | {"outputs": outputs})
    return Said(front + b"".join(behind), len(front) if any(binary.values()) else None)


@dataclass(frozen=True)
class Said:
    """A response. length: of the JSON in front, where bytes follow."""

    body: bytes
    length: int | None


def _packed(array: Array, datatype: str) -> bytes:
    if datatype != "BYTES":
        return np.asarray(array, NUMBERS[datatype]).tobytes()
    texts = [text.encode("utf-8", "replace") for text in array.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
