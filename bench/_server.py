"""A served graph as a process of its own, and wrk against it. It is no benchmark itself."""

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
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICK = os.sysconf("SC_CLK_TCK")

# A request of its own every time, so that nothing is answered out of a cache.
SCRIPT = """
local words = {}
for word in ("%s"):gmatch("%%a+") do words[#words + 1] = word end
math.randomseed(os.time() + %d)
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  local drawn = {}
  for i = 1, 8 do drawn[i] = words[math.random(#words)] end
  local user = math.random(0, %d)
  return wrk.format(nil, "/v1/ask", nil, '{"user": ' .. user .. ', "query": "' .. table.concat(drawn, " ") .. '"}')
end
function done(all, latency, per_second)
  io.write(string.format('FOUND {"requests": %%d, "seconds": %%.3f, "p50_ms": %%.3f, "p99_ms": %%.3f, "bad": %%d}\\n',
    all.requests, all.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    all.errors.status + all.errors.connect + all.errors.read + all.errors.write + all.errors.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw: answers a second, latencies, and how many were no 2xx."""

    per_second: float
    p50_ms: float
    p99_ms: float
    bad: int
    requests: int


@dataclass(frozen=True)
class Serving:
    """A `motet serve` that runs. cold_start: seconds from its start to its first answer."""

    process: subprocess.Popen[bytes]
    port: int
    cold_start: float

    def pids(self) -> list[int]:
        """The process and all that it started."""
        found, waiting = [self.process.pid], [self.process.pid]
        while waiting:
            with contextlib.suppress(OSError):
                of = Path(f"/proc/{waiting.pop()}/task")
                new = [int(p) for task in of.iterdir() for p in (task / "children").read_text().split()]
                found += new
                waiting += new
        return found

    def cpu(self) -> float:
        """Seconds of processor that it has used so far."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total / TICK

    def memory_mb(self) -> float:
        """Resident, pages that several share counted once."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    total += int(line.split()[1]) if line.startswith("Pss:") else 0
        return total / 1024

    def ask(self, body: Any, path: str = "/v1/ask") -> tuple[int, Any]:
        return post(self.port, path, body)

    def load(self, connections: int, seconds: float, words: str, users: int) -> Load:
        """wrk in a closed loop: each connection asks again as soon as it has its answer."""
        script = Path(os.environ.get("TMPDIR", "/tmp")) / f"ask-{os.getpid()}.lua"
        script.write_text(SCRIPT % (words, time.monotonic_ns() % 10_000, users - 1))
        url = f"http://127.0.0.1:{self.port}/v1/ask"
        command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "30s", "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        script.unlink()
        found = next(json.loads(line[6:]) for line in said.splitlines() if line.startswith("FOUND "))
        per_second = found["requests"] / found["seconds"]
        return Load(per_second, found["p50_ms"], found["p99_ms"], found["bad"], found["requests"])


def post(port: int, path: str, body: Any, timeout: float = 60) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def needs_wrk() -> None:
    if shutil.which("wrk") is None:
        sys.exit("wrk is not there; on Debian: apt-get install wrk")


@contextlib.contextmanager
def serving(
    target: str, store: Path, first: Any, *options: str, env: dict[str, str] | None = None
) -> Generator[Serving]:
    """Runs `motet serve` until the block ends. first: the body of an ask, sent until it is answered."""
    port, began = free_port(), time.perf_counter()
    command = [sys.executable, "-m", "motet", "serve", target, "--store", str(store), "--port", str(port), *options]
    with open(store / "serve.log", "wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **(env or {})}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                if post(port, "/v1/ask", first, 5)[0] == 200:
                    break
            if process.poll() is not None or time.perf_counter() - began > 120:
                sys.exit(f"the server gave no answer:\n{(store / 'serve.log').read_text()[-3000:]}")
            time.sleep(0.01)
        yield Serving(process, port, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
