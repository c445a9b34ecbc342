"""The listening side: connections that are given time but not forever, and an end that loses nothing."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from motet.errors import RunError
from motet.serve.http import CLOSE
from motet.serve.problems import problem
from motet.serve.server import Server

BACKLOG = 4096
TURNS = 300  # of the loop, before the listening sockets close
HEADERS = 20.0  # seconds that a client has to send a request's headers
HEAD = 1 << 16  # bytes of a request's line and headers at most
KEPT = 75  # seconds that a connection is kept without a request
LAST = 1.0  # seconds that connections have, when the server ends, to hear of it with their next reply
FINISHING = 30  # seconds that what is in flight has then
LEFT = problem(
    400,
    "the client closed its sending side before it was answered, which is how clients leave: its request was dropped",
    "keep the sending side open until the answer has come: no shutdown(SHUT_WR), no nc -N",
    CLOSE,
)
LATE = problem(408, f"the request's headers were not there within {HEADERS:g} s", "send them at once", CLOSE)
LONG = problem(
    431, f"the request's line and headers are longer than {HEAD:,} bytes", "send what is long in the body", CLOSE
)
PLAIN = "plain HTTP (http://, not https://): a request line, headers, an empty line, as long a body as they say"
# Of the Connection header: after it the parser would read no body, and nothing here is ever upgraded.
UPGRADE = re.compile(rb"(?im)^(connection:[^\r\n]*?)upgrade")


class Patient(HttpToolsProtocol):
    """A connection that is closed where nothing comes, or a request's headers come too slowly or are too long.

    One that the client closes, be it for sending alone, is left: what it has asked for is withdrawn. Who asks for a
    WebSocket or HTTP/2 is answered in HTTP/1.1.
    """

    _half = False  # whether a request's headers are under way
    _open = 0  # bytes that were received while they are
    _fields = 0  # bytes of those that are read
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer = self.loop.call_later(KEPT, self._give_up)

    def data_received(self, data: bytes) -> None:
        if self._timer is not None and not self._half:
            self._timer.cancel()
            self._timer = None
        in_body = self.cycle and self.cycle.more_body and not self._half
        if not in_body and (b"pgrade" in data or b"PGRADE" in data):
            head, end, body = data.partition(b"\r\n\r\n")
            data = UPGRADE.sub(rb"\1ignored", head) + end + body
        super().data_received(data)
        self._open = self._open + len(data) if self._half else 0
        if self._open > HEAD:
            self._refuse(LONG)
        elif self._half and self._timer is None:
            self._timer = self.loop.call_later(HEADERS, self._refuse, LATE)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += len(name) + len(value) + len(b": \r\n")
        if self._fields > HEAD:
            raise ValueError("too long")
        super().on_header(name, value)

    def on_message_begin(self) -> None:
        self._half, self._fields = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._half = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().on_headers_complete()

    def eof_received(self) -> None:
        # Who has left and who only sends no more look alike from here; the latter can still be told.
        if self.cycle and not (self.pipeline or self.cycle.response_started):
            self._say(LEFT)
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        if self._fields > HEAD:
            self._refuse(LONG)
        elif self.cycle and not (self.cycle.more_body or self.cycle.response_complete):
            # What follows a request is none: it is answered, and the connection ends with that.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            why = sys.exception()
            self._refuse(problem(400, f"what was sent is no HTTP/1.1 request: {why}", PLAIN, CLOSE))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, reply: Response) -> None:
        if not self.transport.is_closing():
            self._say(reply)
            self.transport.close()

    def _say(self, reply: Response) -> None:
        """A reply that the application has no part in."""
        headers = (*self.server_state.default_headers, *reply.raw_headers)
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[reply.status_code] + lines + b"\r\n" + bytes(reply.body))


class Listener(uvicorn.Server):
    """Serves until a signal ends it. begun: called once it answers."""

    def __init__(self, app: Any, served: Server, begun: Callable[[], None] = lambda: None) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=Patient,
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="error",  # of a request that is none its client is told
            timeout_keep_alive=KEPT,
            timeout_graceful_shutdown=FINISHING,
            server_header=False,
            proxy_headers=False,  # nobody asks who the client is
        )
        super().__init__(config)
        self._served, self._begun = served, begun

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Returns when SIGTERM has ended it. Errors: KeyboardInterrupt where SIGINT has; why it could not start."""
        signal.signal(signal.SIGTERM, lambda number, frame: None)  # the signal is raised again at the end
        super().run(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if not self.started:
            # Nothing is in flight, and a thread that loads or tries a version cannot be stopped.
            os._exit(0 if sig == signal.SIGTERM else 128 + sig)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._served.start()
        await super().startup(sockets)
        self._begun()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._served.drain()
        for _ in range(TURNS):  # of the loop, which take the connections that wait: closing would reset them
            await asyncio.sleep(0)
        for listening in self.servers:
            listening.close()
        await self._last_replies()
        await super().shutdown(sockets)
        await self._served.stop()

    async def _last_replies(self) -> None:
        """A client that has just sent a request over a kept connection is answered before that is closed."""
        until = asyncio.get_running_loop().time() + LAST
        while self.server_state.connections and asyncio.get_running_loop().time() < until and not self.force_exit:
            await asyncio.sleep(0.02)


def listening(host: str, port: int) -> socket.socket:
    """Errors: the address is taken, or none of this machine's."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        why = getattr(error, "strerror", None) or error
        raise RunError(f"cannot listen on {host}:{port}: {why}", help="--port 8001, or --host 127.0.0.1") from None
    return sock


def many_files() -> None:
    """As many open connections as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
