"""Workers that begin as copies of a process which has loaded everything, where that can be copied."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from motet.serve import workers
from tests.serve.served import goods, prepared
from tests.serve.test_process import ROOT, Running, motet_serve
from tests.serve.test_versions import within

FILE = """
import os, pathlib, threading, time
from tests.serve.served import goods

with pathlib.Path(__file__).with_name("loaded").open("a") as noted:
    print(os.getpid(), file=noted)
"""
SLOW = "time.sleep(15)\n"
THREAD = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket() as made:
        yield made


def test_a_process_with_one_thread_can_be_copied(sock: socket.socket) -> None:
    assert workers.copyable(lambda: sum(range(10)), sock)


def test_one_with_more_cannot_and_that_is_said(sock: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    assert not workers.copyable(lambda: threading.Thread(target=time.sleep, args=(60,), daemon=True).start(), sock)
    assert "starts threads" in caplog.text


def test_one_that_prints_can(sock: socket.socket, capfd: Any) -> None:
    assert workers.copyable(lambda: sys.stderr.write(f"to {sys.stdout.isatty()}"), sock)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(0)])
def test_one_that_cannot_do_the_work_cannot_and_says_nothing(
    error: BaseException, sock: socket.socket, capfd: Any
) -> None:
    def fail() -> None:
        print("half done")
        raise error

    assert not workers.copyable(fail, sock)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("several", [False, True])
def test_a_graph_is_loaded_once_for_all_workers_unless_it_starts_threads(tmp_path: Path, several: bool) -> None:
    assert goods
    prepared(tmp_path)
    file = tmp_path / "graph.py"
    file.write_text(FILE + THREAD * several)
    with motet_serve(tmp_path, tmp_path / "log", "--workers", "3", target=f"{file}:goods") as running:
        assert within(20, lambda: len(running.workers()) == 3)
        assert {running.call()[0] for _ in range(20)} == {200}
        loaded = {int(pid) for pid in (tmp_path / "loaded").read_text().split()}
        assert loaded & set(running.workers()) == (set(running.workers()) if several else set())
        assert (running.process.pid in loaded) != several


def test_a_worker_that_is_replaced_begins_with_what_is_published_by_then(tmp_path: Path) -> None:
    prepared(tmp_path)
    with motet_serve(tmp_path, tmp_path / "log", "--workers", "2") as running:
        assert within(20, lambda: len(running.workers()) == 2)
        prepared(tmp_path)
        assert within(20, lambda: {version(running) for _ in range(20)} == {2})
        first = running.workers()
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        assert within(20, lambda: len(set(running.workers()) - set(first)) == 2)
        assert {version(running) for _ in range(20)} == {2}


def version(running: Running) -> int:
    status, said = running.call()
    assert status == 200
    return json.loads(said)["version"]


@pytest.mark.parametrize(("told", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_while_it_loads_ends_it_and_leaves_nothing(tmp_path: Path, told: int, status: int) -> None:
    prepared(tmp_path)
    file = tmp_path / "graph.py"
    file.write_text(FILE + SLOW)
    (tmp_path / "made").mkdir()
    motet = [sys.executable, "-c", "from motet.cli import main; main()", "serve", f"{file}:goods", "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "made"), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    process = subprocess.Popen([*motet, "--store", str(tmp_path), "--workers", "2"], env=environment, cwd=ROOT)
    assert within(20, (tmp_path / "loaded").exists)
    child = int((tmp_path / "loaded").read_text())
    began = time.monotonic()
    process.send_signal(told)
    assert process.wait(10) == status
    assert time.monotonic() - began < 5
    assert within(2, lambda: not Path(f"/proc/{child}").exists())
    assert not list((tmp_path / "made").iterdir())
