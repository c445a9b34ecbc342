"""One ask whose outputs are told as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from motet.serve.engine import Reply
from motet.serve.server import Early, Server


async def told(
    server: Server, row: Mapping[str, Any], *, size: int, ends: float
) -> AsyncGenerator[Early | Reply, None]:
    """What can be answered at once, where something else takes longer, then late texts as they grow; then the whole
    reply.

    Leaving it withdraws the ask. Errors: those of `Server.ask`.
    """
    heard: asyncio.Queue[Early] = asyncio.Queue()
    work = asyncio.ensure_future(server.ask(row, size=size, ends=ends, early=heard.put_nowait))
    next_one = asyncio.ensure_future(heard.get())
    try:
        while not work.done():
            await asyncio.wait({work, next_one}, return_when=asyncio.FIRST_COMPLETED)
            if next_one.done():
                yield next_one.result()
                next_one = asyncio.ensure_future(heard.get())
        yield await work
    finally:
        next_one.cancel()
        work.cancel()
