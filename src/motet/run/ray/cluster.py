"""Finding a Ray cluster, and what can be wrong with it: one sentence each, and no waiting for what never comes."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import platform
import socket
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from motet.errors import MotetError, RunError, counted, needs
from motet.run.ray.config import Ray

T = TypeVar("T")
JOINED: dict[str, Ray] = {}  # how this process came to a cluster, by the address that Ray has for it
SHARED = "a store in a folder that all nodes mount"
REACHED = 3.0  # seconds until an address that says nothing counts as away
LOOKED = 60.0  # seconds that a node has to say what is installed there
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # HTTP/2 and its empty settings
SETTINGS = 4  # the kind of frame that an HTTP/2 server says first
CROWD = 4  # workers a core that a cluster of one's own may have: more only wait for each other
CLIENT = 10001  # the port that Ray's own client speaks another protocol on
START = "start one: `ray start --head` there, `ray start --address HOST:6379` here; or leave the address out"
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}


def ray() -> Any:
    """The package, which then says nothing of its own."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray as package
    except ModuleNotFoundError:
        raise needs("ray", "ray") from None
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return package


@contextlib.contextmanager
def silent() -> Generator[None]:
    """What others write while the block lasts is not shown; what is wrong is raised."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept, nowhere = [os.dup(1), os.dup(2)], os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, was in zip((1, 2), kept, strict=True):
            os.dup2(was, number)
            os.close(was)
        os.close(nowhere)


def connected(on: Ray, environment: Mapping[str, str] | None = None) -> Any:
    """The package, connected to the cluster, whose nodes have been found to run what this process runs.

    environment: that a cluster of one's own is started with.
    Errors: there is no cluster, its versions differ, or it has no room for the workers; this process has joined
        another one, or without the folder that is to be sent.
    """
    package = ray()
    if package.is_initialized():
        _joined_so(package, on)
    else:
        _join(package, on, environment or {})
        try:
            same_everywhere(package)
        except BaseException:
            package.shutdown()  # else the next call finds it joined, and does not look
            raise
        JOINED[_address(package)] = on
    _room(package, on)
    return package


def _join(package: Any, on: Ray, environment: Mapping[str, str]) -> None:
    own = on.place is None and "RAY_ADDRESS" not in os.environ
    if on.place is not None:
        reached(*on.place)
    # "local": without it Ray joins whatever cluster somebody started last on this machine.
    told: dict[str, Any] = {"address": "local" if own else None if on.place is None else ":".join(map(str, on.place))}
    if own:
        not_crowded(on)
        os.environ.update({name: value for name, value in environment.items() if name not in os.environ})
        told |= {"include_dashboard": False, "num_cpus": max(len(os.sched_getaffinity(0)), _cores(on))}
    if on.working_dir is not None:
        told["runtime_env"] = {"working_dir": on.working_dir}
    try:
        with silent():
            # What raylets say of killed workers goes to standard output, where a command's own answer is.
            package._private.worker.print_to_stdstream = _unsaid
            package.init(**told, log_to_driver=False, configure_logging=False, logging_level=logging.CRITICAL)
    except (RuntimeError, ConnectionError, ValueError) as error:
        raise refused(on, error) from error


def _joined_so(package: Any, on: Ray) -> None:
    """Errors: what this process has joined is another place, or was joined with another folder."""
    here = _address(package)
    was = JOINED.get(here, Ray(here))  # somebody else has joined it
    differs = {
        "address": on.place not in (None, was.place, Ray(here).place),
        "working_dir": on.working_dir not in (None, was.working_dir),
    }
    for name, other in differs.items():
        if other:
            raise RunError(
                f"this process has joined the Ray cluster at {here} already, and cannot have"
                f" {name}={getattr(on, name)!r} too",
                help=f"leave {name}= out, or leave that cluster before: import ray; ray.shutdown()",
            )


def _address(package: Any) -> str:
    return str(package.get_runtime_context().gcs_address)


def not_crowded(on: Ray) -> None:
    """Errors: more workers than this machine can be shared among."""
    cores = len(os.sched_getaffinity(0))
    if _cores(on) > CROWD * cores:
        raise RunError(
            f"{_told(on)} are too many for the {cores} cores of this machine, which a"
            f" cluster started here shares among at most {CROWD * cores}",
            help=f"mt.Ray(workers={cores}), or the address of a larger cluster: --on ray://HOST:6379,workers={on.workers}",
        )


def _unsaid(*said: Any, **how: Any) -> None:
    """In place of what prints."""


def refused(on: Ray, error: Exception) -> MotetError:
    """Why a cluster could not be joined."""
    if "Version mismatch" not in str(error):
        return RunError(f"no Ray cluster could be joined: {_line(error)}", help=_help(on))
    said = " ".join(str(error).split())
    return RunError(
        f"the cluster runs other versions than this process: {said}",
        help="install one Python and one Ray on both: the same image, or the same requirements.lock",
    )


def _cores(on: Ray) -> int:
    """What a cluster of one's own needs so that all workers have room: there they share the cores that there are."""
    return -(-int(100 * on.workers * on.cpus) // 100)


def reached(host: str, port: int) -> None:
    """Errors: nobody is there, or somebody who is no Ray, whom its own client would ask for minutes."""
    if port == CLIENT:
        raise RunError(
            f"{host}:{port} is for Ray's client, and a driver must run on a node of the cluster",
            help=f'mt.Ray("{host}:6379") on a node of it, or `ray job submit --working-dir . -- motet ...`',
        )
    try:
        with socket.create_connection((host, port), REACHED) as there:
            other = "" if os.environ.get("RAY_USE_TLS") == "1" else _stranger(there)
    except (OSError, UnicodeError) as error:  # the latter: a name that no host can have
        why = getattr(error, "strerror", None) or str(error) or "no answer"
        raise RunError(f"there is no Ray cluster at {host}:{port}: {why}", help=START) from None
    if other:
        raise RunError(f"there is no Ray cluster at {host}:{port}: {other}", help=START)


def _stranger(there: socket.socket) -> str:
    """Why what listens there cannot be Ray, whose nodes talk gRPC; empty where it may be."""
    there.settimeout(REACHED)
    try:
        there.sendall(GREETING)
        said = there.recv(9)
    except TimeoutError:
        return f"what listens there said nothing for {REACHED:g} s"
    return "" if len(said) > 3 and said[3] == SETTINGS else "something else listens there"


def installed() -> dict[str, str]:
    """What must be the same on every node."""
    found = {name: importlib.metadata.version(name) for name in ("motet", "ray")}
    return {"python": platform.python_version(), **found}


def same_everywhere(package: Any) -> None:
    """Errors: a node has another Python, Ray or Motet, or none."""
    ours = installed()
    for node, theirs in on_each_node(package, _looking()).items():
        for name, version in ours.items():
            if theirs.get(name) != version:
                raise RunError(
                    f"node {node} has {name} {theirs.get(name, 'not at all')}, and this process {version}",
                    help=f"install {name} {version} on every node: the same image, or the same requirements.lock",
                )


def _looking() -> Callable[[], dict[str, str]]:
    """What is installed, asked by a function that needs none of it."""

    def look() -> dict[str, str]:
        import contextlib
        import importlib.metadata
        import platform

        found = {"python": platform.python_version()}
        for name in ("motet", "ray"):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[name] = importlib.metadata.version(name)
        return found

    return look


def on_each_node(package: Any, look: Callable[[], T]) -> dict[str, T]:
    """What a function gives on every node, by the node's address."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked: dict[str, Any] = {}
    for node in alive(package):
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = package.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(look)
        asked[f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"] = task.remote()
    try:
        return dict(zip(asked, package.get(list(asked.values()), timeout=LOOKED), strict=True))
    except package.exceptions.GetTimeoutError:
        raise RunError(f"a node of the cluster said nothing for {LOOKED:g} s", help="ray status") from None
    except package.exceptions.RayError as error:
        raise RunError(f"a node of the cluster could not be asked: {_line(error)}", help="ray status") from error


def shared(package: Any, folder: Path, help: str = SHARED) -> None:
    """Errors: a node does not have this folder."""
    place = str(folder)
    for node, there in on_each_node(package, _having(place)).items():
        if not there:
            raise RunError(f"node {node} does not see the store in {folder}", help=help)


def _having(place: str) -> Callable[[], bool]:
    def look() -> bool:
        import os

        return os.path.isdir(place)

    return look


def alive(package: Any) -> list[Mapping[str, Any]]:
    return [node for node in package.nodes() if node["Alive"]]


def _room(package: Any, on: Ray) -> None:
    """Errors: the workers do not fit, now or ever."""
    from ray.util.placement_group import placement_group, remove_placement_group

    each: dict[str, float] = {"CPU": on.cpus}
    if on.memory_gb is not None:
        each["memory"] = on.memory_gb * 2**30
    wanted: Any = placement_group([each] * on.workers)
    try:
        if wanted.wait(on.wait):
            return
    finally:
        remove_placement_group(wanted)
    room = sum(_fits(node["Resources"], each) for node in alive(package))
    what = _told(on)
    if room < on.workers:
        text = f"the cluster is too small for {what}: it has room for {room}"
        raise RunError(text, help=f"mt.Ray(workers={room}), or add nodes" if room else "mt.Ray(cpus=...), or add nodes")
    text = f"the cluster has room for {what}, but others have used it for {on.wait:g} s"
    raise RunError(text, help="mt.Ray(wait=600), or fewer workers")


def _told(on: Ray) -> str:
    """3 workers of 1 CPU and 4 GB."""
    each = [f"{on.cpus:g} CPU{'' if on.cpus == 1 else 's'}", *([f"{on.memory_gb:g} GB"] if on.memory_gb else [])]
    return f"{counted(on.workers, 'worker')} of {' and '.join(each)}"


def _fits(has: Mapping[str, float], each: Mapping[str, float]) -> int:
    return min(int(has.get(name, 0) / share + 1e-6) for name, share in each.items())


def _help(on: Ray) -> str:
    return "ray status; or leave the address out to start one here" if on.place else "look into /tmp/ray/session_latest"


def _line(error: BaseException) -> str:
    """An error's first line that says anything."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__).rstrip(".")


def failed(error: BaseException, what: str) -> MotetError:
    return RunError(f"{what} failed on Ray: {_line(error)}", help="look into /tmp/ray/session_latest/logs")
