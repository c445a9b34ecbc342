"""What one process serves: the current version, the engine, and what else an endpoint may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from motet import intake
from motet.serve.engine import Engine, Limits, Reply
from motet.serve.version import Version

Row = Mapping[str, Any]


@dataclass
class Server:
    """name: of the graph. version: what answers now; it is replaced as a whole when a newer one is published."""

    name: str
    version: Version
    limits: Limits = Limits()
    engine: Engine = field(init=False)
    ready: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.engine = Engine(self.limits)

    async def ask(
        self, row: Row, *, size: int = 0, ends: float | None = None, early: Any = None
    ) -> Reply:
        """The reply to one ask. Errors: DataError for a wrong row, before it costs the others anything."""
        version = self.version
        intake.check(version.event, row, version.context.entities())
        return await self.engine.ask(version, row, size=size, ends=ends, early=early)

    async def start(self) -> None:
        self.engine.start()
        self.ready = True

    async def stop(self) -> None:
        self.ready = False
        await self.engine.stop()
