"""What is said of a Ray cluster: where it is, how many workers, and what each of them gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import TYPE_CHECKING, Any

from motet.errors import GraphError, listed

if TYPE_CHECKING:
    from pathlib import Path

    from motet.run.runner import Runner, Spent

SCHEME = "ray://"
ON = "--on ray, --on ray://10.0.0.1:6379 or --on ray,workers=4,cpus=2"
READERS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "a text"),
}


@dataclass(frozen=True)
class Ray:
    """A Ray cluster as the place where a graph runs: graph.fit(data, on=mt.Ray()), fitted.prepare(on=mt.Ray()).

    address: HOST:PORT of the cluster's head, of which this machine is a node. Without one it is the cluster that this
        process or RAY_ADDRESS already knows, or else a small one that is started here and ends with this process.
    workers: processes that compute rows, or replicas that answer, side by side.
    cpus: processor cores of each. memory_gb: of each, where that is to be set aside.
    blocks: a folder on any file system of Arrow or fsspec (s3://bucket/folder) that workers commit rows to. Without
        one they commit to the store itself, whose folder all nodes must then share.
    working_dir: a folder that is sent to all nodes: the graph's file and the modules that it imports.
    wait: seconds that it waits for a cluster that has no room.
    """

    address: str | None = None
    workers: int = 2
    cpus: float = 1
    memory_gb: float | None = None
    blocks: str | None = None
    working_dir: str | None = None
    wait: float = 10

    def __post_init__(self) -> None:
        memory = 1 if self.memory_gb is None else self.memory_gb
        if self.workers < 1 or not (0 < self.cpus < inf and 0 < memory < inf and 0 <= self.wait < inf):
            raise GraphError(
                f"{self}: it takes a worker or more, each with some processor and memory, and a wait that ends",
                help="mt.Ray(workers=2, cpus=1)",
            )
        if self.address is not None:
            host, _, port = self.address.removeprefix(SCHEME).rpartition(":")
            if not host or not port.isdigit():
                raise GraphError(f"{self.address!r} is no address of a Ray cluster", help='mt.Ray("10.0.0.1:6379")')

    @staticmethod
    def read(text: str) -> Ray:
        """What --on says: ray, ray://HOST:PORT, and with more of its fields ray,workers=4,cpus=2."""
        place, *given = text.split(",")
        kinds = {field.name: str(field.type).partition(" ")[0] for field in fields(Ray) if field.name != "address"}
        told: dict[str, Any] = {}
        for each in given:
            name, _, value = each.partition("=")
            if name not in kinds:
                raise GraphError(f"{each!r} says nothing of a Ray cluster; {listed(kinds, name)}", help=ON)
            reader, what = READERS[kinds[name]]
            try:
                told[name] = reader(value)
            except ValueError:
                value = ""
            if not value:
                raise GraphError(f"{name} is {what}, and {each!r} gives none", help=ON)
        if place != "ray" and not place.startswith(SCHEME):
            raise GraphError(f"nothing runs on {place!r}; there is: ray", help=ON)
        return Ray(None if place == "ray" else place.removeprefix(SCHEME), **told)

    @property
    def place(self) -> tuple[str, int] | None:
        """Host and port of the cluster's head, where an address was given."""
        if self.address is None:
            return None
        host, _, port = self.address.removeprefix(SCHEME).rpartition(":")
        return host.strip("[]"), int(port)

    def runner(self, spent: Spent, store: Path) -> Runner:
        from motet.run.ray.runner import OnRay

        return OnRay(self, spent, store)
