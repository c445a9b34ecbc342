"""The processes of a server: one that listens and answers, or one that listens and several that answer for it."""

from __future__ import annotations

import ipaddress
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

from threadpoolctl import threadpool_limits

from motet import fitted, loading
from motet.errors import RunError
from motet.serve import workers
from motet.serve.app import application
from motet.serve.beside import SAMPLE, Share
from motet.serve.engine import Limits
from motet.serve.gate import Gate
from motet.serve.keys import Keys
from motet.serve.listener import Listener, listening, many_files
from motet.serve.log import Log, journal_at, opened
from motet.serve.server import Beside, Server
from motet.serve.trace import Traces
from motet.serve.trial import examples
from motet.serve.version import Version
from motet.store.folder import existing_store

LOOPBACK = "127.0.0.1"
WRITTEN = "written"  # a file that workers touch when they have written events


@dataclass(frozen=True)
class Settings:
    """What `motet serve` was told.

    target: FILE.py:GRAPH. workers: processes that answer. events: where the log of what has happened is, a file or a
    PostgreSQL URL; None for a file in the store. canary, shadow, interleave: VERSION=SHARE. answers: a file that
    answers are logged in. keys: a file of API keys.
    """

    target: str
    store: str | None = None
    host: str = LOOPBACK
    port: int = 8000
    workers: int = 1
    events: str | None = None
    canary: str | None = None
    shadow: str | None = None
    interleave: str | None = None
    answers: str | None = None
    keys: str | None = None


def serve(settings: Settings) -> None:
    """Answers over HTTP from the published version until SIGTERM; then finishes what is in flight.

    Errors: KeyboardInterrupt where SIGINT ended it; why it could not start.
    """
    log_to_stderr()
    many_files()
    judge(settings)
    if settings.workers == 1:  # else this process imports nothing that may start a thread before it has been copied
        loading.graph(settings.target)
    _say(f"{loading.name(settings.target)} is loaded and tried out before it answers")
    with listening(settings.host, settings.port) as sock:
        opened(settings.events, loading.name(settings.target), existing_store(settings.store).root)
        if settings.workers == 1:
            answer(settings, sock, begun=lambda: _say(_where(settings, sock)))
            return
        with TemporaryDirectory(prefix="motet-") as shared:
            load, work = partial(shareable, settings), partial(answer, settings, sock, Path(shared))
            said = f"{_where(settings, sock)} by {settings.workers} workers"
            workers.supervise(settings.workers, load, work, sock, Path(shared), begun=lambda: _say(said))


def judge(settings: Settings) -> None:
    """Errors: what it was told cannot be, as far as that can be known before anything is loaded."""
    loading.check_file(settings.target)
    name, store, beside = loading.name(settings.target), existing_store(settings.store), _beside(settings)
    shares = [share for share in (beside.canary, beside.shadow, beside.interleave) if share is not None]
    for number in (fitted.current(store, name), *(share.number for share in shares)):
        store.version(name, number)
    for share in shares:
        loading.check_file(share.target or settings.target)
    for option, file in (("--events", settings.events), ("--answers", settings.answers)):
        if file and "://" not in file and not (folder := Path(file).parent).is_dir():
            raise RunError(f"there is no folder {folder} for {option} {file}", help=f"mkdir -p {folder}")
    check_access(settings)


def check_access(settings: Settings) -> None:
    """Warns where anybody may ask. Errors: the file of keys is none."""
    if settings.keys:
        Keys.read(Path(settings.keys))
    elif not is_loopback(settings.host):
        _say(f"warning: whoever reaches {settings.host} may ask: --api-key-file FILE asks for a key")


def shareable(settings: Settings) -> Version:
    """What answers, loaded and tried out, for workers that begin as copies of this process: of what it holds in memory
    there is one, however many they are."""
    version = loaded(settings)
    asks = examples(version)
    for some in ([ask] for ask in asks), (asks,):
        for rows in some:
            version.rehearse(rows).early()
    return version


def loaded(settings: Settings) -> Version:
    """What is published, as it answers."""
    # Batches run side by side: threads inside one, of products or of the tokenizer, would take the other's core.
    threadpool_limits(1)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    graph, name = loading.graph(settings.target), loading.name(settings.target)
    made = fitted.published(graph, name=name, store=settings.store, quiet=True)
    assert made.version is not None
    return Version(made, made.version)


def answer(
    settings: Settings,
    sock: socket,
    shared: Path | None = None,
    common: Version | None = None,
    begun: Callable[[], None] = lambda: None,
) -> None:
    """What one process does. shared: a folder that all workers share. common: what they begin with. begun: called once
    it answers."""
    server, app = answering(settings, max(1, len(os.sched_getaffinity(0)) // settings.workers), shared, common)
    Listener(app, server, begun).run([sock])


def answering(
    settings: Settings, cores: int, shared: Path | None = None, common: Version | None = None
) -> tuple[Server, Gate]:
    """What one process answers with. cores: that a batch which is alone may use."""
    version, name = _published(settings, common), loading.name(settings.target)
    journal, word = journal_at(settings.events, name, version.fitted.store.root), shared and shared / WRITTEN
    log, traces = Log(journal, word), Traces.wanted(name)
    server = Server(name, version, Limits(cores=cores), _beside(settings), shared, log, traces)
    keys = Keys.read(Path(settings.keys)) if settings.keys else None
    return server, Gate(application(server), server, keys, traces)


def _beside(settings: Settings) -> Beside:
    return Beside(
        Share.read(settings.canary) if settings.canary else None,
        Share.read(settings.shadow, SAMPLE) if settings.shadow else None,
        Share.read(settings.interleave, SAMPLE) if settings.interleave else None,
        Path(settings.answers) if settings.answers else None,
    )


def _published(settings: Settings, common: Version | None) -> Version:
    """What is published now. common: what was when the first workers began."""
    name = loading.name(settings.target)
    if common is not None and common.number == existing_store(settings.store).pointed(name):
        return common
    return loaded(settings)


def log_to_stderr() -> None:
    """What this project has to say; what others log is theirs."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.getLogger("motet").addHandler(handler)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _where(settings: Settings, sock: socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{loading.name(settings.target)} is served on http://{host}:{sock.getsockname()[1]}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
