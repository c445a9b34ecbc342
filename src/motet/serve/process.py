"""The processes of a server: one that listens, several that share its port, and how they end."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import uvicorn

from motet import fitted
from motet.graph import Graph
from motet.serve.app import application
from motet.serve.engine import Limits
from motet.serve.log import Log, opened
from motet.serve.server import Server
from motet.serve.version import Version

BACKLOG = 4096
LOOPBACK = "127.0.0.1"


def serve(
    graph: Graph,
    *,
    name: str = "graph",
    store: Path | str | None = None,
    host: str = LOOPBACK,
    port: int = 8000,
    limits: Limits = Limits(),  # noqa: B008
    events: str | None = None,
) -> None:
    """Answers over HTTP from the published version until it is told to stop; then finishes what is in flight.

    events: where the log of what has happened is, a file or a PostgreSQL URL; None for a file in the store.
    """
    many_files()
    with listening(host, port) as sock:
        made = fitted.published(graph, name=name, store=store, quiet=True)
        log = Log(opened(events, name, made.store.root))
        server = Server(name, Version(made, 1), limits, log=log)
        config = uvicorn.Config(
            application(server),
            loop="uvloop",
            http="httptools",
            lifespan="on",
            access_log=False,
            log_level="warning",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=30,
            server_header=False,
        )
        uvicorn.Server(config).run([sock])


def listening(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(BACKLOG)
    return sock


def many_files() -> None:
    """As many open connections as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
