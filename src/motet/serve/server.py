"""What one process serves: the current version, the engine, and what else an endpoint may ask for."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from motet import intake, memory
from motet.answer import Answer
from motet.errors import MotetError
from motet.serve.answers import Answers
from motet.serve.beside import Canary, Shadow, Share
from motet.serve.engine import Engine, Limits, Overloaded, Reply, Request
from motet.serve.interleave import Interleaved
from motet.serve.log import Log
from motet.serve.metrics import Metrics
from motet.serve.trace import Traces
from motet.serve.trial import Recent
from motet.serve.version import Running, Version
from motet.serve.versions import EVERY, Versions

Row = Mapping[str, Any]
Told = Callable[[Answer], None]
LOG = logging.getLogger("motet.serve")
COLLECTED = (
    20_000,
    20,
    50,
)  # a request makes some 300 objects and no circles: at 700 the collector takes 5 % of its time


@dataclass(frozen=True)
class Beside:
    """What runs beside the current version. answers: the file that answers are logged in."""

    canary: Share | None = None
    shadow: Share | None = None
    interleave: Share | None = None
    answers: Path | None = None


@dataclass(frozen=True)
class Early:
    """What of an ask is there before the rest: all that can be answered at once, then a late text as far as it is
    written. version: that answers."""

    version: int
    answer: Answer


@dataclass
class Server:
    """name: of the graph. version: what answers now; it is replaced as a whole when a newer one is published.

    shared: a folder that the workers of a server share. log: of what has happened; without one no events are taken.
    """

    name: str
    version: Version
    limits: Limits = field(default_factory=Limits)
    beside: Beside = Beside()
    shared: Path | None = None
    log: Log | None = None
    traces: Traces | None = None
    metrics: Metrics = field(default_factory=Metrics, init=False)
    engine: Engine = field(init=False)
    ready: bool = field(default=False, init=False)
    canary: Canary | None = field(default=None, init=False)
    shadow: Shadow | None = field(default=None, init=False)
    interleaved: Interleaved | None = field(default=None, init=False)
    answers: Answers | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.engine = Engine(self.limits, catch_up=self._caught_up, measured=self._measured, ran=self._ran)
        self._recent = Recent()
        self._versions = Versions(self.name, self.metrics, self._caught_up, self.shared)
        self._following: asyncio.Task[None] | None = None

    async def ask(
        self, row: Row, *, size: int = 0, ends: float | None = None, early: Callable[[Early], None] | None = None
    ) -> Reply:
        """The reply to one ask. early: told what can be answered at once, where something else takes longer, and then
        late texts as they grow.

        Errors: DataError for a wrong row, before it costs the others anything.
        """
        version, beside, propensity = self._chosen(row)
        told: Told | None = None if early is None else lambda answer: early(Early(version.number, answer))
        intake.check(version.event, row, version.context.entities())
        began = time.perf_counter()
        try:
            if beside is None:
                reply = await self.engine.ask(version, row, size=size, ends=ends, early=told)
            else:
                reply = await beside.ask(self.engine, version, row, size=size, ends=ends, early=told)
        except Overloaded:
            self.metrics.shed.inc()
            raise
        except Exception:
            self.metrics.failed(version.number)
            raise
        finally:
            self.metrics.queue(len(self.engine.waiting), self.engine.bytes)
        self.metrics.answered(version.number)
        if propensity < 1:
            reply = replace(reply, propensity=propensity)
        self._recent.keep(row)
        if self.answers is not None:
            self.answers.keep(row, reply)
        if self.shadow is not None and version is self.version and beside is None:
            self.shadow.see(row, reply.answer, time.perf_counter() - began)
        return reply

    def _chosen(self, row: Row) -> tuple[Version, Interleaved | None, float]:
        """The version that answers, what is shown among its items, and how likely that was for this viewer."""
        likely, canary, beside = 1.0, self.canary, self.interleaved
        if canary is not None and canary.version.number != self.version.number:
            if canary.answers(row):
                return canary.version, None, canary.share
            likely = 1 - canary.share
        if beside is None or beside.rival.number == self.version.number:
            return self.version, None, likely
        if beside.sees(row):
            return self.version, beside, likely * beside.share
        return self.version, None, likely * (1 - beside.share)

    async def start(self) -> None:
        self.engine.start()
        if self.log is not None:
            self.log.start()
        await asyncio.to_thread(self._open)
        self._following = asyncio.create_task(self._follow())
        gc.collect()
        gc.set_threshold(*COLLECTED)
        gc.freeze()  # what is loaded stays: no request waits while all of it is looked through
        memory.give_back()
        self.ready = True

    def drain(self) -> None:
        """What is in flight is finished; who asks whether it is ready hears no, and replies end their connection."""
        self.ready = False

    async def stop(self) -> None:
        self.drain()
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        await self.engine.stop()
        if self.shadow is not None:
            await asyncio.to_thread(self.shadow.close)
        if self.answers is not None:
            self.answers.close()
        if self.log is not None:
            await asyncio.to_thread(self.log.stop)
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)

    def _open(self) -> None:
        """Proves the version that answers first, and what runs beside it."""
        self.version = self._versions.first(self.version)
        self.answers = self.beside.answers and Answers(self.beside.answers)
        if share := self.beside.canary:
            found = self._versions.beside(self.version, share)
            self.canary = found and Canary(found, share.share)
        if share := self.beside.shadow:
            found = self._versions.beside(self.version, share)
            self.shadow = found and Shadow(found, share.share, self.metrics, self._caught_up)
        if share := self.beside.interleave:
            found = self._versions.beside(self.version, share)
            failed = partial(self.metrics.failed, share.number)
            self.interleaved = found and Interleaved(found, share.share, failed)

    async def _follow(self) -> None:
        """Lets what is newly published take over; the one before answers until then, whatever happens. What goes wrong
        is said when it begins, not again at every look."""
        said = ""
        while True:
            await asyncio.sleep(EVERY)
            try:
                new = await asyncio.to_thread(self._versions.next, self.version, self._recent.rows())
            except Exception as error:
                why = f"{error.what}; {error.help}" if isinstance(error, MotetError) else repr(error)
                if why != said:
                    trace = None if isinstance(error, MotetError) else error
                    LOG.error("could not look for a new version of %s: %s", self.name, why, exc_info=trace)
                said = why
                continue
            said = ""
            if new is not None:
                LOG.warning("version %d of %s answers now, not %d any more", new.number, self.name, self.version.number)
                self.version = new
                self.metrics.switched.inc()

    def _caught_up(self, version: Version) -> None:
        """Brings a version up to what has happened: before it is tried, and before every batch that it answers."""
        if self.log is not None:
            self.log.look(version)

    def _measured(self, batch: Sequence[Request], seconds: float) -> None:
        self.metrics.batch(batch)

    def _ran(self, running: Running, batch: Sequence[Request]) -> None:
        try:
            self.metrics.ran(running, answered=bool(batch))
            if self.traces is not None:
                self.traces.ran(running, [request.span for request in batch])
        except Exception:
            LOG.exception("a batch was not counted")
