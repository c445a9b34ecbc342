"""Fits on Ray: a network in a worker of Ray Train, everything else in a task."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow.fs

from motet.apply import Fit
from motet.batch import Batch
from motet.cost import Cost
from motet.errors import MotetError
from motet.model import State
from motet.run.ray.cluster import alive, failed
from motet.run.ray.config import Ray
from motet.run.ray.part import Metered, Part, Sent
from motet.run.ray.told import telling

ARROW: Any = pyarrow.fs
Made = tuple[State | MotetError, Cost]


def fitted(ray: Any, on: Ray, node: Fit, batch: Batch, target: Any, folder: str) -> tuple[State, Cost]:
    """What was learnt there, and what that took. folder: where Ray Train may keep what it writes down."""
    cpus = _cpus(ray, on)
    try:
        with telling(ray, batch.progress) as teller:
            sent = Sent.of(ray, (Part.of(node), replace(batch, progress=teller), target))
            made = _trained(sent, cpus, folder) if node.model.torch else _done(ray, sent, cpus)
    except (ray.exceptions.RayError, RuntimeError) as error:
        if isinstance(error, MotetError):
            raise
        raise failed(error, node.label()) from error
    if isinstance(made[0], MotetError):
        raise made[0]
    return cast("tuple[State, Cost]", made)


def _done(ray: Any, sent: Sent, cpus: float) -> Made:
    return ray.get(ray.remote(num_cpus=cpus, max_retries=3)(_fit).remote(sent))


def _trained(sent: Sent, cpus: float, folder: str) -> Made:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    place = f"{folder}/{secrets.token_hex(8)}"  # of this fit alone: others may train on the same store now
    files, root = cast("tuple[Any, str]", ARROW.FileSystem.from_uri(place))

    def loop(told: dict[str, Any]) -> Made:
        return _fit(told["sent"])

    trainer: Any = TorchTrainer(
        loop,
        train_loop_config={"sent": sent},
        scaling_config=ScalingConfig(num_workers=1, resources_per_worker={"CPU": cpus}),
        run_config=RunConfig(storage_path=place, failure_config=FailureConfig(max_failures=3)),
    )
    try:
        return trainer.fit().return_value
    finally:
        with contextlib.suppress(OSError):  # it is not there where nothing was begun
            files.delete_dir(root)  # no checkpoint: the state itself comes back


def _fit(sent: Sent) -> Made:
    try:
        part, batch, target = sent.opened()
        return Metered().fit(part, batch, target)
    except MotetError as error:
        return error, Cost()


def _cpus(ray: Any, on: Ray) -> float:
    """All that the workers would have, as far as one node has it: they do nothing meanwhile."""
    return min(on.workers * on.cpus, max(node["Resources"].get("CPU", 0) for node in alive(ray)))


def written(on: Ray, store: Path) -> str:
    return f"{on.blocks}/fits" if on.blocks else str((store / "fits").absolute())
