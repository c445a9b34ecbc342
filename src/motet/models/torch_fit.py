"""What is done to a torch module at a fit: it is trained, tried on its inputs and written down. Needs torch."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from motet import sessions
from motet.batch import Array
from motet.clock import library
from motet.column import Number, Vector
from motet.errors import RunError
from motet.model import State
from motet.raised import place

if TYPE_CHECKING:
    from motet.models.torch import Torch

TRIED = 64  # rows that a module is tried on
CLOSE = 1e-3  # what two runs of one module may differ by, as a part of the largest number


def trained(
    model: Torch, tensors: Mapping[str, Array], labels: Array | None, seed: int, tell: Callable[[int, int, str], None]
) -> Any:
    """The module, trained where there is something to learn; the one that was given stays as it is."""
    module = copy.deepcopy(model.module)
    if model.train is None or labels is None:
        return module.eval()
    tell(0, 1, f"{len(labels):,} rows")
    library("torch._dynamo")  # which the first optimizer loads
    with cast(Any, torch.random).fork_rng(devices=[]):
        cast(Any, torch).manual_seed(seed)
        try:
            model.train(module.train(), _inputs(tensors), _tensor(labels))
        except Exception as error:
            what = f"{model} cannot be trained: {type(error).__name__}: {error}"
            raise RunError(what, help=place(error, _shapes(tensors))) from error
    tell(1, 1, f"{len(labels):,} rows")
    return module.eval()


def kept(model: Torch, module: Any, tensors: Mapping[str, Array], probability: bool) -> bytes:
    """The module as bytes. Errors: it does not give what it is to give, or another form of it gives something else."""
    some = {name: value[:TRIED] for name, value in tensors.items()}
    try:
        made = run(module, some)
    except (RuntimeError, TypeError, IndexError) as error:
        raise RunError(f"{model} cannot read its inputs: {error}", help=_shapes(tensors)) from error
    except Exception as error:
        what = f"{model} failed: {type(error).__name__}: {error}"
        raise RunError(what, help=place(error, _shapes(tensors))) from error
    _check_shape(model, made, len(next(iter(some.values()))), probability)
    single = {name: value[:1] for name, value in some.items()}
    if not _close(run(module, single), made[:1]):
        raise RunError(
            f"{model} gives a row something else alone than among others",
            help="make each row's output depend on that row only: normalise over features, not over the batch",
        )
    if not model.onnx:
        written = io.BytesIO()
        torch.save(module, written)
        return written.getvalue()
    exported = _exported(model, module, some)
    if not _same(exported, some, made) or not _same(exported, single, made[:1]):
        raise RunError(
            f"{model} gives other numbers as ONNX: what its code decides by values became a constant",
            help="write it without if and for over values of tensors, or keep it: mt.Torch(net, onnx=False)",
        )
    return exported


def run(module: Any, tensors: Mapping[str, Array]) -> Array:
    """What the module gives, as an array."""
    with torch.no_grad():
        made = module(**{name: _tensor(value) for name, value in tensors.items()})
    if not isinstance(made, torch.Tensor):
        raise TypeError(f"it gives a {type(made).__name__} and no tensor")
    return made.numpy()


def unpickled(state: State) -> Any:
    return torch.load(io.BytesIO(np.asarray(state["made"]).tobytes()), weights_only=False).eval()


def _inputs(tensors: Mapping[str, Array]) -> tuple[Any, ...]:
    return tuple(_tensor(value) for value in tensors.values())


def _tensor(value: Array) -> Any:
    return cast(Any, torch).from_numpy(np.ascontiguousarray(value))


def _exported(model: Torch, module: Any, tensors: Mapping[str, Array]) -> bytes:
    made = io.BytesIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # it prints what it fails at
            warnings.simplefilter("ignore")  # what became a constant is found by trying it
            cast(Any, torch.onnx).export(
                module,
                (),
                made,
                kwargs={name: _tensor(value) for name, value in tensors.items()},
                input_names=list(tensors),
                output_names=["made"],
                dynamic_axes={name: {0: "n"} for name in (*tensors, "made")},
                opset_version=17,
                dynamo=False,
            )
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise RunError(
            f"{model} cannot be written as ONNX: {said}",
            help="keep it as it is, and install torch where it serves: mt.Torch(net, onnx=False)",
        ) from error
    return made.getvalue()


def _check_shape(model: Torch, made: Array, rows: int, probability: bool) -> None:
    labels = len(model.labels) or "labels"
    if model.kind is Number:
        fits, wanted = made.shape in ((rows,), (rows, 1)), f"[{rows}] or [{rows}, 1]"
    elif model.kind is Vector:
        fits, wanted = made.ndim == 2 and len(made) == rows, f"[{rows}, d]"
    else:
        fits = made.ndim == 2 and len(made) == rows and (not model.labels or made.shape[1] == len(model.labels))
        wanted = f"[{rows}, {labels}]"
    if not fits:
        said = f"{model} makes a {model.kind.__name__} of shape {wanted} from {rows} rows, and gave {list(made.shape)}"
        raise RunError(said, help="change the module's last layer, or kind=")
    if not np.isfinite(made).all():
        raise RunError(
            f"{model} gives numbers that are not finite", help="look at its weights, or train it more slowly"
        )
    if probability and not ((made >= 0) & (made <= 1)).all():
        low, high = float(made.min()), float(made.max())
        raise RunError(
            f"{model} learns 0 and 1, and gives {low:.3g} to {high:.3g}, which are no probabilities",
            help="end the module with torch.nn.Sigmoid()",
        )


def _same(exported: bytes, tensors: Mapping[str, Array], made: Array) -> bool:
    try:
        return _close(np.asarray(sessions.opened(exported).run(None, dict(tensors))[0]), made)
    except Exception:  # onnxruntime's own errors have no common class but this
        return False


def _close(first: Array, second: Array) -> bool:
    return first.shape == second.shape and bool(
        np.abs(first.astype(np.float64) - second).max(initial=0) <= CLOSE * max(np.abs(second).max(initial=0), 1)
    )


def _shapes(tensors: Mapping[str, Array]) -> str:
    given = ", ".join(f"{name}: {value.dtype} {['n', *value.shape[1:]]}" for name, value in tensors.items())
    return f"it is called with {given}".replace("'", "")
