"""One of several processes that answer on a socket: `python -m motet.serve.worker FD`, started by its supervisor."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from socket import socket

import msgspec

from motet.errors import MotetError
from motet.serve.listener import many_files
from motet.serve.metrics import SHARED
from motet.serve.process import Settings, answer, log_to_stderr
from motet.serve.workers import REFUSED

TOLD = 0  # the pipe from the supervisor


def main() -> None:
    log_to_stderr()
    many_files()
    settings = msgspec.json.decode(_line(), type=Settings)
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    try:
        answer(settings, socket(fileno=int(sys.argv[1])), Path(os.environ[SHARED]))
    except MotetError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(REFUSED)


def _line() -> bytes:
    """What the supervisor says first. Read as it is: a buffered reader would be locked while this process ends."""
    said = b""
    while not said.endswith(b"\n") and (more := os.read(TOLD, 1 << 16)):
        said += more
    return said


def _end_with_supervisor() -> None:
    """The supervisor writes nothing more: the pipe ends when it does."""
    while os.read(TOLD, 1 << 16):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
