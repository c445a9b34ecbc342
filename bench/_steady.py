"""A steady load of asks and of events on one server, and what became of each. It is no benchmark itself."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from _shop import ITEMS, ask

ASKS, EVENTS = 40.0, 30.0  # a second
DEADLINE = 2.0  # seconds that an ask waits, its second try included
KEPT, MOST = 8, 24  # connections that wait for a request; one that waits for long is closed by the server
USES = 25  # requests after which a connection is closed, so that every worker has some
AGAIN = 0.2  # seconds until an event that was not acknowledged is sent again
GIVEN_UP = 30.0  # seconds after which it is not
BROKEN = (OSError, EOFError, ValueError)


@dataclass(frozen=True)
class Answered:
    """One ask with a 200. began, ended: as time.monotonic() tells it. by: who answered, per alternative."""

    began: float
    ended: float
    by: dict[str, str]


@dataclass
class Seen:
    """What became of the load.

    cut: asks whose connection broke before there was a reply. refused: first replies to asks that were no 200, by
    status. unanswered: why. acknowledged: ids of events. tries: replies to events that were no acknowledgement.
    """

    asks: int = 0
    cut: int = 0
    refused: Counter[int] = field(default_factory=Counter[int])
    unanswered: list[str] = field(default_factory=list[str])
    answered: list[Answered] = field(default_factory=list[Answered])
    acknowledged: set[str] = field(default_factory=set[str])
    tries: Counter[str] = field(default_factory=Counter[str])
    given_up: int = 0


class Steady:
    """Sends at fixed rates, whether or not what was sent before is answered. named: what its events are called."""

    def __init__(self, port: int, named: str, seed: int = 0) -> None:
        self.seen = Seen()
        self._port, self._named, self._drawn = port, named, random.Random(seed)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, int]] = []

    async def during(self, strikes: Coroutine[Any, Any, None]) -> Seen:
        """Loads the server until the strikes are over; then until every event is acknowledged or given up."""
        sending = [
            asyncio.create_task(self._send(ASKS, self._ask)),
            asyncio.create_task(self._send(EVENTS, self._event)),
        ]
        try:
            await strikes
        finally:
            for task in sending:
                task.cancel()
            for ended in await asyncio.gather(*sending, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    raise RuntimeError("the load ended early") from ended
        for _, writer, _ in self._idle:
            writer.close()
        return self.seen

    async def _send(self, rate: float, one: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        going, began = set[asyncio.Task[None]](), time.monotonic()
        try:
            for n in itertools.count():
                await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
                task = asyncio.create_task(one(n))
                going.add(task)
                task.add_done_callback(lambda done: (going.discard(done), done.result()))
        finally:
            await asyncio.gather(*going)

    async def _ask(self, n: int) -> None:
        """An ask may be sent once more, at once and over a new connection, where it got no 200."""
        self.seen.asks += 1
        body, began = json.dumps(ask(self._drawn)).encode(), time.monotonic()
        why = await self._tried(body, began, fresh=False)
        if isinstance(why, int):
            self.seen.refused[why] += 1
        else:
            self.seen.cut += why is not None
        if why is not None and (why := await self._tried(body, began, fresh=True)) is not None:
            self.seen.unanswered.append(f"{time.monotonic() - began:.2f} s: {why}")

    async def _tried(self, body: bytes, began: float, fresh: bool) -> int | str | None:
        """None where it was answered; the status or the error where it was not."""
        left = began + DEADLINE - time.monotonic()
        try:
            async with asyncio.timeout(left):
                status, said = await self._post("/v1/ask", body, fresh, f"Request-Timeout: {max(left, 0.01):.3f}\r\n")
        except (TimeoutError, *BROKEN) as error:
            return type(error).__name__
        if status == 200:
            self.seen.answered.append(Answered(began, time.monotonic(), json.loads(said)["answered_by"]))
        return None if status == 200 else status

    async def _event(self, n: int) -> None:
        id, until = f"{self._named}-{n}", time.monotonic() + GIVEN_UP
        body = json.dumps({"id": id, **ask(self._drawn), "item": self._drawn.randrange(ITEMS)}).encode()
        fresh = False
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(GIVEN_UP / 2):
                    status, said = await self._post("/v1/events", body, fresh)
            except (TimeoutError, *BROKEN) as error:
                self.seen.tries[type(error).__name__] += 1
            else:
                if status in (200, 201):
                    self.seen.acknowledged.add(id)
                    return
                self.seen.tries[str(status)] += 1
                if status not in (429, 503, 504):
                    raise RuntimeError(f"an event was refused for good: {said.decode()}")
            fresh = True
            await asyncio.sleep(AGAIN)
        self.seen.given_up += 1

    async def _post(self, path: str, body: bytes, fresh: bool, header: str = "") -> tuple[int, bytes]:
        if fresh or len(self._idle) < KEPT:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            uses = 0
        else:
            reader, writer, uses = self._idle.pop(self._drawn.randrange(len(self._idle)))
        kept = False
        try:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{header}Content-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            headers = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next(int(line[15:]) for line in headers.split(b"\r\n") if line.startswith(b"content-length:"))
            said = await reader.readexactly(length)
            kept = uses + 1 < USES and len(self._idle) < MOST and b"connection: close" not in headers
        finally:
            if kept:
                self._idle.append((reader, writer, uses + 1))
            else:
                writer.close()
        return int(headers.split(b" ", 2)[1]), said
