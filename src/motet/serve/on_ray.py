"""A served graph on Ray Serve: one deployment, whose every replica holds the whole graph and its engine.

A hop between deployments costs 2 ms, so a graph is not cut into several. Requests reach a replica through HAProxy,
which Ray Serve brings and keeps told of its replicas: with its own proxy one replica answers half as many.
`app` builds the application for a RayService; `serve` runs it from here until a signal ends it.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from motet import loading
from motet.errors import RunError, counted
from motet.run.ray.cluster import alive, connected, failed, not_crowded, ray, shared, silent
from motet.run.ray.config import Ray
from motet.serve.log import opened
from motet.serve.process import Settings, answering, is_loopback, judge
from motet.store.folder import existing_store

TUNED = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
}
"""What Ray Serve reads from the environment of every node when that starts: docs/scale.md sets it in the image."""
WAITING = 10_000  # requests that a replica takes before its engine has said yes or no to them: the engine sheds load
FINISHING = 40  # seconds that a replica has at its end
ENDS = (signal.SIGTERM, signal.SIGINT)
SAID = re.compile(r"(?:motet\.errors\.)?(?:Graph|Data|Run)Error: (.+)")


def app(args: Mapping[str, Any]) -> Any:
    """The application of a RayService: import_path motet.serve.on_ray:app. args: the fields of `Settings` that are
    not about listening, and of `Ray` workers, cpus and memory_gb."""
    places = {field.name for field in dataclasses.fields(Ray)}
    on = Ray(**{name: value for name, value in args.items() if name in places})
    settings = Settings(**{name: value for name, value in args.items() if name not in places})
    _events(settings, on.workers, 1)
    return _application(on, settings, None)


def serve(settings: Settings, on: Ray) -> None:
    """Answers over HTTP from replicas until SIGTERM; then finishes what is in flight.

    Errors: no cluster, or none with room; why replicas cannot answer; KeyboardInterrupt where SIGINT ended it.
    """
    name, store = loading.name(settings.target), existing_store(settings.store)
    judge(settings)
    loading.published(settings.target, store.root)
    _crowded(on)
    _events(settings, on.workers, 1)
    opened(settings.events, name, store.root)
    with TemporaryDirectory(prefix="motet-") as folder:
        package = connected(on, {**TUNED, **_apart(folder)})
        _events(settings, on.workers, len(alive(package)))
        _reachable(settings, len(alive(package)))
        shared(package, store.root.absolute())
        _run(package, settings, on, name)


def _run(ray: Any, settings: Settings, on: Ray, name: str) -> None:
    ended = _Ended()
    try:
        with silent():
            _deployed(settings, on, str(Path.cwd()))
        where = f"http://{settings.host}:{settings.port}"
        print(f"{name} is served on {where} by {counted(on.workers, 'replica')} on Ray", file=sys.stderr, flush=True)
        ended.wait()
    finally:
        with silent():
            _removed(ray, name)
    if ended.by == signal.SIGINT:
        raise KeyboardInterrupt


class _Ended:
    """Which signal told this process to end. Ray has handlers of its own, which would end it at once."""

    def __init__(self) -> None:
        self.by, self._told = 0, threading.Event()
        for number in ENDS:
            signal.signal(number, self._tell)

    def _tell(self, number: int, frame: Any) -> None:
        self.by = number
        self._told.set()

    def wait(self) -> None:
        while not self._told.wait(1):
            pass


def _application(on: Ray, settings: Settings, folder: str | None) -> Any:
    """folder: where replicas look for the graph's file, where it is there."""
    from ray import serve as package

    cores = max(1, int(on.cpus))

    def built() -> Any:
        if folder is not None and os.path.isdir(folder):
            os.chdir(folder)
        return answering(settings, cores)[1]

    resources: dict[str, Any] = {"num_cpus": on.cpus}
    if on.memory_gb is not None:
        resources["memory"] = on.memory_gb * 2**30
    kept: Any = package
    made = kept.deployment(
        kept.ingress(built)(),
        name=loading.name(settings.target),
        num_replicas=on.workers,
        max_ongoing_requests=WAITING,
        ray_actor_options=resources,
        graceful_shutdown_timeout_s=FINISHING,
    )
    return made.bind()


def _deployed(settings: Settings, on: Ray, folder: str) -> None:
    from ray import serve as package

    kept: Any = package
    logging.getLogger("ray.serve").setLevel(logging.CRITICAL)
    quiet = {"enable_access_log": False, "log_level": "ERROR"}
    kept.start(http_options={"host": settings.host, "port": settings.port}, logging_config=quiet)
    made = _application(on, settings, None if on.working_dir else folder)
    try:
        kept.run(made, name=loading.name(settings.target), logging_config=quiet)
    except RuntimeError as error:
        said = SAID.findall(str(error))
        raise (RunError(f"no replica can answer: {said[-1]}") if said else failed(error, "serving")) from None


def _removed(ray: Any, name: str) -> None:
    """Replicas are taken out of HAProxy and finish before that ends too."""
    from ray import serve as package

    kept: Any = package
    kept.delete(name)
    if not kept.status().applications:  # others of a cluster stay
        kept.shutdown()
    ray.shutdown()


def _apart(folder: str) -> dict[str, str]:
    """What HAProxy would share with another one on this machine."""
    files = {"CONFIG_FILE_LOC": "haproxy.cfg", "SOCKET_PATH": "admin.sock", "SERVER_STATE_BASE": "state"}
    files |= {"SERVER_STATE_FILE": "state/server-state"}
    told = {name: f"{folder}/{file}" for name, file in files.items()}
    with socket.socket() as one, socket.socket() as other:
        for name, free in (("STATS_PORT", one), ("METRICS_PORT", other)):
            free.bind(("127.0.0.1", 0))
            told[name] = str(free.getsockname()[1])
    return {f"RAY_SERVE_HAPROXY_{name}": value for name, value in told.items()}


def _crowded(on: Ray) -> None:
    """Errors: the cluster that would be started here cannot have so many replicas."""
    if on.place is None and "RAY_ADDRESS" not in os.environ and not ray().is_initialized():
        not_crowded(on)


def _reachable(settings: Settings, nodes: int) -> None:
    """Errors: replicas would listen where no other node reaches them."""
    if nodes > 1 and is_loopback(settings.host):
        raise RunError(
            f"replicas on {nodes} nodes cannot be reached at {settings.host}",
            help="--host 0.0.0.0 --api-key-file FILE",
        )


def _events(settings: Settings, replicas: int, nodes: int) -> None:
    """Errors: the log is a file, which others than one process on one machine cannot share."""
    if (replicas > 1 or nodes > 1) and not str(settings.events or "").startswith("postgres"):
        raise RunError(
            f"{counted(replicas, 'replica')} on {counted(nodes, 'node')} cannot share an event log in a file",
            help="--events postgresql://user:password@host/database",
        )
