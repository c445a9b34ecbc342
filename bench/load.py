"""Twice as many asks as the server can answer, for ten minutes: is each answered or refused, and is memory flat?

    python bench/load.py --data DIR [--json] [--seconds 600]

The reference graph of bench/serve.py. First wrk finds what is sustainable (32 connections, closed loop); then asks are
sent at twice that rate, whether or not the earlier ones are answered. Each must get a 200 or, at once, a 429 with
Retry-After. lost: anything else, a closed connection among it. memory_growth: memory in the last minute over that in
the second one. p99_ms: of the accepted, beside the deadline that each carries. --data is not read.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _reference import USERS, WORDS, graph, requests, write_ranker
from _server import Serving, needs_wrk, serving
from serve import asked, prepared

DEADLINE = 2.0  # seconds that each ask says it waits
TOGETHER = 2_000  # connections at most
PATIENCE = 30.0  # seconds without a reply after which an ask is lost


@dataclass
class Sent:
    """What became of the asks: replies by status, seconds of the accepted ones, and what was lost."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    seconds: list[float] = field(default_factory=list[float])
    lost: Counter[str] = field(default_factory=Counter[str])
    unexplained: int = 0  # refusals that do not say when to come again


class Client:
    """Keep-alive connections, opened as they are needed."""

    def __init__(self, port: int) -> None:
        self.port, self.sent = port, Sent()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._open = asyncio.Semaphore(TOGETHER)

    async def ask(self, body: bytes) -> None:
        head = (
            f"POST /v1/ask HTTP/1.1\r\nHost: x\r\nRequest-Timeout: {DEADLINE:g}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with self._open:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(PATIENCE):
                    reader, writer = self._kept() or await asyncio.open_connection(port=self.port, host="127.0.0.1")
                    writer.write(head.encode() + body)
                    status, headers = await _reply(reader)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self.sent.lost[type(error).__name__] += 1
                return
        self.sent.statuses[status] += 1
        self.sent.unexplained += status == 429 and b"retry-after" not in headers
        if status == 200:
            self.sent.seconds.append(time.perf_counter() - began)
        if b"connection: close" in headers:
            writer.close()
        else:
            self._idle.append((reader, writer))

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection that the server has not closed, as it does with those that nobody used for long."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None


async def _reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    headers = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = next(int(line[15:]) for line in headers.split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(headers.split(b" ", 2)[1]), headers


def bodies() -> Any:
    """Asks, every query a new one."""
    drawn, words = random.Random(1), WORDS.split()
    while True:
        query = " ".join(drawn.choice(words) for _ in range(8))
        yield json.dumps({"user": drawn.randrange(USERS), "query": query}).encode()


async def at_rate(server: Serving, per_second: float, seconds: float) -> tuple[Sent, list[tuple[float, float]]]:
    """Sends at a fixed rate, and reads the server's memory once a second."""
    client, asks = Client(server.port), bodies()
    going: set[asyncio.Task[None]] = set()
    memory: list[tuple[float, float]] = []
    began = time.perf_counter()
    for n in itertools.count():
        due = began + n / per_second
        now = time.perf_counter()
        if due > began + seconds:
            break
        if now - began > len(memory):
            memory.append((now - began, server.memory_mb()))
        if due > now:
            await asyncio.sleep(due - now)
        elif n % 50 == 0:
            await asyncio.sleep(0)
        task = asyncio.create_task(client.ask(next(asks)))
        going.add(task)
        task.add_done_callback(going.discard)
    await asyncio.gather(*going)
    return client.sent, memory


def growth(memory: list[tuple[float, float]], seconds: float) -> float:
    """Mean memory of the last minute over that of the second one; of sixths of the time where it is shorter."""
    part = min(60.0, seconds / 6)
    early = [mb for at, mb in memory if part <= at < 2 * part]
    late = [mb for at, mb in memory if at >= seconds - part]
    return float(np.mean(late) / np.mean(early))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="not read")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--seconds", type=float, default=600)
    given = parser.parse_args()
    needs_wrk()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_ranker(folder / "ranker.onnx")
        target = prepared(folder, graph(folder / "ranker.onnx"), "served")
        with serving(target, folder, requests(1)[0]) as server:
            asked(server, 32, 3)
            sustained = asked(server, 32, 8).per_second
            print(
                f"sustained: {sustained:.0f} a second; sending {2 * sustained:.0f} for {given.seconds:g} s", flush=True
            )
            sent, memory = asyncio.run(at_rate(server, 2 * sustained, given.seconds))
    ok, shed = sent.statuses[200], sent.statuses[429]
    others = sum(sent.statuses.values()) - ok - shed
    figures: dict[str, Any] = {
        "sustained_per_second": round(sustained, 1),
        "sent": sum(sent.statuses.values()) + sum(sent.lost.values()),
        "ok": ok,
        "shed": shed,
        "lost": sum(sent.lost.values()) + others + sent.unexplained,
        "ok_per_second": round(ok / given.seconds, 1),
        "p50_ms": round(1e3 * float(np.median(sent.seconds)), 1),
        "p99_ms": round(1e3 * float(np.quantile(sent.seconds, 0.99)), 1),
        "deadline_ms": 1e3 * DEADLINE,
        "memory_growth": round(growth(memory, given.seconds), 4),
        "memory_mb": round(memory[-1][1], 1),
    }
    if figures["lost"]:
        print(
            f"lost: {dict(sent.lost)}, other statuses: {dict(sent.statuses)}, without Retry-After: {sent.unexplained}"
        )
    print(json.dumps(figures) if given.json else "\n".join(f"{name:<22} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
