"""Two versions in one answer: both are asked, and their items take turns in what is shown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from motet.answer import Answer
from motet.metrics.interleaving import draft
from motet.node import item_of
from motet.serve.beside import drawn
from motet.serve.engine import Engine, Reply
from motet.serve.version import Version

Items = Sequence[Mapping[str, Any]]
Teams = Mapping[str, list[bool]]
PATIENCE, MOMENT = 1.0, 0.2  # times what the current version took, and seconds at least, that a rival has besides


class Interleaved:
    """A rival whose items are shown among the current version's, by team draft; see `motet.metrics.interleaving`.

    Texts and all else that is no list of items stay the current version's, and so does all of it where the rival fails.
    share: of the viewers who see both. failed: told so.
    """

    def __init__(self, rival: Version, share: float, failed: Callable[[], None]) -> None:
        self.rival, self.share, self._failed = rival, share, failed
        self._random = np.random.default_rng()

    def sees(self, row: Mapping[str, Any]) -> bool:
        return drawn(self.rival, row, self.share, b"interleave")

    async def ask(
        self,
        engine: Engine,
        version: Version,
        row: Mapping[str, Any],
        *,
        size: int,
        ends: float | None,
        early: Callable[[Answer], None] | None,
    ) -> Reply:
        """As `Engine.ask`; the reply says which items are the version's own."""
        began = time.monotonic()
        ours, theirs = _Asked(engine, version, row, size, ends), _Asked(engine, self.rival, row, 0, ends)
        try:
            first = await ours.first()
            shown, teams = self._drafted(version, first, await self._rivals(theirs, time.monotonic() - began))
            if early is not None and not ours.reply.done():
                early({**first, **shown})
                ours.more = early
            reply = await ours.reply
        finally:
            for each in (ours, theirs):
                each.reply.cancel()
            await asyncio.gather(ours.reply, theirs.reply, return_exceptions=True)
        return replace(reply, answer={**reply.answer, **shown}, rival=self.rival.number, ours=teams)

    async def _rivals(self, asked: _Asked, taken: float) -> Answer:
        """What the rival says at once; nobody waits much longer for it than for the current version."""
        try:
            async with asyncio.timeout(max(PATIENCE * taken, MOMENT)):
                return await asked.first()
        except Exception:
            self._failed()
            return {}

    def _drafted(self, version: Version, ours: Answer, theirs: Answer) -> tuple[Answer, Teams]:
        """The lists in which both take turns, and which of their items are ours."""
        shown, teams = dict[str, Any](), dict[str, list[bool]]()
        for name, column in version.outline.answered.items():
            entity, both = item_of(column.grain), (ours.get(name), theirs.get(name))
            if entity is None or not all(isinstance(each, list) for each in both) or not both[0]:
                continue
            key = entity.key_field()
            mine, other = ({item[key]: item for item in cast(Items, each)} for each in both)
            made = draft([*mine], [*other], len(mine), self._random)
            items = zip(made.items, made.ours, strict=True)
            shown[name] = [(mine if own else other)[item] for item, own in items]
            teams[name] = made.ours
        return shown, teams


class _Asked:
    """One version, asked. reply: a task. more: told what is said after what it says at once: texts as they grow."""

    def __init__(self, engine: Engine, version: Version, row: Mapping[str, Any], size: int, ends: float | None) -> None:
        self._early = asyncio.get_running_loop().create_future()
        self.more: Callable[[Answer], None] = _unheard
        asked = engine.ask(version, row, size=size, ends=ends, early=self._tell)
        self.reply: asyncio.Task[Reply] = asyncio.create_task(asked)

    def _tell(self, answer: Answer) -> None:
        if self._early.done():
            self.more(answer)
        else:
            self._early.set_result(answer)

    async def first(self) -> Answer:
        """What it says at once. Errors: those of the ask."""
        await asyncio.wait((self.reply, self._early), return_when=asyncio.FIRST_COMPLETED)
        return self._early.result() if self._early.done() else self.reply.result().answer


def _unheard(answer: Answer) -> None:
    """Before the lists are drafted nothing of the answer is shown."""
