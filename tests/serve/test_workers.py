"""Workers that begin as copies of a process which has loaded everything, where that can be copied."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from motet.serve import workers
from tests.serve.served import goods, prepared
from tests.serve.test_process import motet_serve
from tests.serve.test_versions import within

FILE = """
import os, pathlib, threading, time
from tests.serve.served import goods

with pathlib.Path(__file__).with_name("loaded").open("a") as noted:
    print(os.getpid(), file=noted)
"""
THREAD = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"


def test_a_process_with_one_thread_can_be_copied() -> None:
    assert workers.copyable(lambda: sum(range(10)))


def test_one_with_more_cannot() -> None:
    assert not workers.copyable(lambda: threading.Thread(target=time.sleep, args=(60,), daemon=True).start())


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(0)])
def test_one_that_cannot_do_the_work_cannot_and_says_nothing(error: BaseException, capfd: Any) -> None:
    def fail() -> None:
        print("half done")
        raise error

    assert not workers.copyable(fail)
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
