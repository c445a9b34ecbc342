"""onnxruntime's sessions, opened alike everywhere: on one thread, or on several that soon sleep while they wait."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motet.batch import Array
from motet.clock import library
from motet.errors import GraphError, RunError, listed

# From 1.29 on it would report on models and machines to its maker, out of a thread of its own. It looks as it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

MAPPED = 1024  # bytes from which on a tensor stays in a file of its own, which all processes map
AWAKE = 100  # microseconds
LARGE = 1 << 20  # bytes from which on a model is worth a copy whose tensors are mapped


def write(model: Any, file: Path) -> None:
    """Keeps an ONNX model, its large tensors in one file beside it."""
    onnx = _onnx()
    tensors = file.with_suffix(".tensors")
    file.parent.mkdir(parents=True, exist_ok=True)
    # Named only when whole, so that a killed build, or two at once, leave no half file.
    with tempfile.TemporaryDirectory(dir=file.parent) as made:
        apart = {"save_as_external_data": True, "location": tensors.name, "size_threshold": MAPPED}
        onnx.save_model(model, f"{made}/model", **apart)
        if Path(made, tensors.name).exists():
            Path(made, tensors.name).replace(tensors)
        Path(made, "model").replace(file)


def mapped(file: Path, digest: str, folder: Path) -> Path:
    """The same model with its large tensors beside it, so that processes share them: of one file they load their own.

    digest: of the file's bytes, which the copy in the folder is called by. The file itself where it is small, or where
    the folder cannot be written.
    """
    copy = folder / f"onnx-{digest[:16]}.onnx"
    if copy.is_file() or file.stat().st_size < LARGE:
        return copy if copy.is_file() else file
    try:
        write(_onnx().load(str(file)), copy)
    except OSError:
        return file
    return copy


def opened(model: str | bytes, cores: int = 1) -> Any:
    """A session over a model's file or bytes."""
    ort = library("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = cores
    # From one operation to the next they wait awake, which is a fifth faster and costs the processor nothing. Longer
    # they would take the cores from everybody else.
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(AWAKE))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def of_file(file: Path, digest: str, folder: Path) -> Any:
    """A session over a file that somebody gives, mapped. Errors: it is no ONNX model, or none that can run here."""
    try:
        return opened(str(mapped(file, digest, folder)))
    except ImportError:
        raise
    except Exception as error:  # those of the runtime and of protobuf have no base in common
        again = 'export it again and copy all of it: torch.onnx.export(net, example, "model.onnx")'
        raise GraphError(f"{file} is no ONNX model that can run: {_reason(error)}", help=again) from None


def output_of(session: Any, file: str | Path, name: str) -> Any:
    """The output of a file that is meant: the named one, or its only one. Errors: none such, several, no numbers."""
    outputs = {each.name: each for each in session.get_outputs()}
    if name and name not in outputs:
        raise GraphError(f"{file} has no output {name!r}", help=listed(outputs, name))
    if not name and len(outputs) > 1:
        raise GraphError(f"{file} has several outputs: {', '.join(outputs)}", help=f'output="{next(iter(outputs))}"')
    meant = outputs[name or next(iter(outputs))]
    if not meant.type.startswith("tensor(") or meant.type == "tensor(string)":
        others = "".join(f"{each.name}, " for each in outputs.values() if each is not meant)
        help = f"choose another: {others}or " if others else ""
        help += "export it as a tensor of numbers, for scikit-learn: zipmap=False"
        raise GraphError(f"the output {meant.name!r} of {file} is {meant.type}, and no tensor of numbers", help)
    return meant


def run(session: Any, output: str, feed: Mapping[str, Array], who: object) -> Array:
    """What a session makes of some tensors. Errors: RunError, with what each input was given."""
    try:
        return np.asarray(session.run([output], feed)[0])
    except Exception as error:
        given = ", ".join(f"{name} {list(value.shape)}" for name, value in feed.items())
        wanted = ", ".join(f"{each.name} {shape(each)}" for each in session.get_inputs())
        raise RunError(f"{who} fails on {given}: {_reason(error)}", help=f"it reads {wanted}") from error


def shape(tensor: Any) -> str:
    """The shape that a file says an input or output has: [n, 64]."""
    return f"[{', '.join('?' if each is None else str(each) for each in tensor.shape)}]"


def _reason(error: Exception) -> str:
    """What the runtime says, without its codes and paths."""
    said = str(error).strip() or type(error).__name__
    return " ".join(said.rpartition("failed:")[2].rpartition(" : ")[2].split())[:300]


def _onnx() -> Any:
    """The library that makes models; only opening them needs no more than onnxruntime."""
    return library("onnx")
