"""`motet serve` as an operator meets it: real processes, real signals."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serve.served import NAME, goods, prepared
from tests.serve.test_versions import within

ROOT = Path(__file__).parents[2]
ASK = json.dumps({"buyer": "b3", "amount": 3.0})


@dataclass
class Running:
    """A `motet serve` that answers. says: its standard error so far."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def says(self) -> str:
        return self.log.read_text()

    def call(self, path: str = "/v1/ask", body: str | None = ASK, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST" if body else "GET", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def workers(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert goods
    folder = tmp_path_factory.mktemp("store")
    prepared(folder)
    return folder


@contextlib.contextmanager
def motet_serve(
    store: Path, log: Path, *options: str, target: str = f"{Path(__file__).with_name('served.py')}:{NAME}"
) -> Generator[Running]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    motet = [sys.executable, "-c", "from motet.cli import main; main()", "serve"]
    places = [target, "--store", str(store), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
    with log.open("w") as said:
        process = subprocess.Popen([*motet, *places, *options], stderr=said, text=True, cwd=ROOT, env=environment)
    running = Running(process, port, log)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if running.call("/health/ready", None)[0] == 200:
                    break
            time.sleep(0.05)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def replies_until_the_end(running: Running, results: list[int | str], answered: threading.Event) -> None:
    """Asks over one connection after the other until the server ends. A request without its reply is an error's name,
    but not the first one of a connection that was reset: the system took that in, and the server never had it."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
    while True:
        try:
            connection.connect()
        except OSError:
            return  # nothing was asked
        fresh = True
        while connection.sock:
            try:
                connection.request("POST", "/v1/ask", ASK)
                response = connection.getresponse()
                response.read()
                results.append(response.status)
                answered.set()
                fresh = False
            except (OSError, http.client.HTTPException) as error:
                if not (fresh and isinstance(error, ConnectionResetError)):
                    results.append(type(error).__name__)
                connection.close()
                return


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_answers_what_is_in_flight_and_exits_with_0(store: Path, tmp_path: Path, workers: str) -> None:
    with motet_serve(store, tmp_path / "log", "--workers", workers) as running:
        results, answered = list[int | str](), [threading.Event() for _ in range(8)]
        asking = [threading.Thread(target=replies_until_the_end, args=(running, results, event)) for event in answered]
        for thread in asking:
            thread.start()
        assert all(event.wait(10) for event in answered)
        assert running.end(signal.SIGTERM) == 0
        for thread in asking:
            thread.join(20)
    assert set(results) == {200}
    assert "Traceback" not in running.says


@pytest.mark.parametrize(("workers", "by"), [("1", ""), ("2", " by 2 workers")])
def test_it_says_when_it_answers_and_ctrl_c_says_one_line_and_exits_with_130(
    store: Path, tmp_path: Path, workers: str, by: str
) -> None:
    with motet_serve(store, tmp_path / "log", "--workers", workers) as running:
        assert running.call()[0] == 200
        assert within(10, lambda: "is served" in running.says)
        assert running.end(signal.SIGINT) == 130
    said = [line for line in running.says.splitlines() if line]
    assert said == [
        "goods is loaded and tried out before it answers",
        f"goods is served on http://127.0.0.1:{running.port}{by}",
        "stopped; what was finished is kept",
    ]


def test_workers_count_together_and_one_that_is_killed_is_replaced(store: Path, tmp_path: Path) -> None:
    with motet_serve(store, tmp_path / "log", "--workers", "2") as running:
        assert {running.call()[0] for _ in range(20)} == {200}
        first = running.workers()
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        assert {running.call()[0] for _ in range(20)} == {200}
        until = time.monotonic() + 20
        while (len(running.workers()) < 2 or first[0] in running.workers()) and time.monotonic() < until:
            time.sleep(0.05)
        assert len(set(running.workers()) - set(first)) == 1
        scraped = running.call("/metrics", None)[1].decode()
        assert 'motet_requests_total{endpoint="/v1/ask",status="200"} 40.0' in scraped
        workers = running.workers()
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait(10)
        until = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers), "workers outlive their supervisor"


def test_a_worker_that_cannot_come_back_takes_no_other_with_it(tmp_path: Path) -> None:
    prepared(tmp_path)
    with motet_serve(tmp_path, tmp_path / "log", "--workers", "2") as running:
        assert within(20, lambda: running.says.count("is served") == 1 and len(running.workers()) == 2)
        time.sleep(1)
        (tmp_path / "versions" / NAME / "CURRENT").write_text("77")  # of which there is nothing
        os.kill(running.workers()[0], signal.SIGKILL)
        assert within(20, lambda: "there is no version 77 of graph 'goods'" in running.says)
        assert {running.call()[0] for _ in range(20)} == {200}
        (tmp_path / "versions" / NAME / "CURRENT").write_text("1")
        assert running.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_can_never_answer_is_said_and_ends_with_2(tmp_path: Path, workers: str) -> None:
    with motet_serve(tmp_path, tmp_path / "log", "--workers", workers) as running:
        assert running.process.wait(60) == 2
    assert "nothing is published" in running.says
    assert "is served" not in running.says
    assert "Traceback" not in running.says


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--canary", "9=5%"], "there is no version 9 of graph 'goods'"),
        (["--shadow", "1=200%"], "'1=200%' is no share of a version"),
        (["--interleave", "nowhere.py:goods@1"], "there is no file nowhere.py"),
        (["--api-key-file", "FOLDER/none"], "cannot read the keys"),
        (["--events", "FOLDER/none/x.db"], "none for --events"),
        (["--answers", "FOLDER/none/x.jsonl"], "none for --answers"),
        (["--store", "FOLDER/none"], "there is no store in"),
    ],
)
def test_what_it_is_told_is_judged_once_before_anything_is_loaded(
    store: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    options = [option.replace("FOLDER", str(tmp_path)) for option in options]
    with motet_serve(store, tmp_path / "log", "--workers", "2", *options) as running:
        assert running.process.wait(60) == 2
    assert running.says.count(says) == 1
    assert "is loaded" not in running.says
    assert "Traceback" not in running.says
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


@pytest.mark.parametrize("target", ["nowhere.py:goods", "served.py:gods", "served.py"])
def test_a_graph_that_is_not_there_is_not_said_to_be_loaded(store: Path, tmp_path: Path, target: str) -> None:
    log, target = tmp_path / "events.db", str(Path(__file__).with_name(target))
    shutil.copytree(store / "versions" / NAME, store / "versions" / "gods", dirs_exist_ok=True)
    with motet_serve(store, tmp_path / "log", "--events", str(log), target=target) as running:
        assert running.process.wait(60) == 2
    assert "is loaded" not in running.says
    assert not log.exists()


def test_a_file_that_is_no_log_is_refused_and_nothing_is_left_beside_it(store: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("# what I wrote down\n")
    with motet_serve(store, tmp_path / "log", "--events", str(tmp_path / "notes")) as running:
        assert running.process.wait(60) == 2
    assert "the event log cannot be used: file is not a database" in running.says
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "notes"]


def test_a_port_that_is_taken_is_said(store: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with motet_serve(store, tmp_path / "log", "--port", port) as running:
            assert running.process.wait(60) == 2
    assert "cannot listen on 127.0.0.1" in running.says


def test_an_address_that_others_reach_is_warned_about_unless_a_key_is_asked_for(store: Path, tmp_path: Path) -> None:
    with motet_serve(store, tmp_path / "log", "--host", "0.0.0.0") as running:
        assert running.call()[0] == 200
    assert "warning: whoever reaches 0.0.0.0 may ask" in running.says
    (tmp_path / "keys").write_text("# ours\nsecret-1\n")
    with motet_serve(store, tmp_path / "log", "--host", "0.0.0.0", "--api-key-file", str(tmp_path / "keys")) as running:
        assert running.call()[0] == 401
        assert running.call(Authorization="Bearer secret-1")[0] == 200
    assert "warning" not in running.says
