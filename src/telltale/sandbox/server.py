"""One mail host: a port of 127.0.0.1, and a session for each client."""

from __future__ import annotations

import asyncio
import socket

from telltale.sandbox.hosts import Greeting
from telltale.sandbox.octets import READ_AT_ONCE
from telltale.sandbox.session import House, Session

MOST_CLIENTS = 500  # at one host; one more is not let in
_BACKLOG = 512


class SmtpServer:
    """Listens from `start` to `stop`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._server: asyncio.Server | None = None
        self._socket: socket.socket | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Returns the port, which is any free one for 0."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self._house.greeting is not Greeting.NOBODY:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        # A port that is bound and not listened on refuses connections, and nobody else can have it.
        if self._house.greeting is not Greeting.NOBODY:
            self._server = await asyncio.start_server(
                self._connected, sock=self._socket, limit=READ_AT_ONCE, backlog=_BACKLOG
            )
        return int(self._socket.getsockname()[1])

    async def stop(self) -> None:
        """Closes the port and every connection."""
        if self._server:
            self._server.close()
        if self._socket:
            self._socket.close()
        for task in tuple(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MOST_CLIENTS:
            writer.write(f"421 4.3.2 {self._house.host} too many connections\r\n".encode())
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Session(self._house, reader, writer).serve()
        except (EOFError, ConnectionError):
            pass  # the client has left without QUIT: nothing to tell, and nobody to tell it to
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            writer.close()
