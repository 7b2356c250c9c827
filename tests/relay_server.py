"""A mail server on a socket, in threads of its own: for tests that do not run in an event loop."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 30.0  # seconds


class RelayServer(socketserver.ThreadingTCPServer):
    """A mail server that takes everything, and can be made to hold its answer at one step.

    A step is "CONNECT", a command, "HALF" (of the message), or "DOT".
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RelaySession)
        self.messages: list[bytes] = []
        self.answers: dict[str, str] = {}  # in the place of "250 2.0.0 Ok", by command
        self.heard: list[str] = []
        self.hold_at = ""
        self.reached = threading.Event()
        self.go_on = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def pass_by(self, command: str) -> None:
        if command == self.hold_at:
            self.reached.set()
            self.go_on.wait(PATIENCE)

    def hold(self, command: str) -> None:
        """From now on, at this step; "" for none. Who is held goes on."""
        self.go_on.set()
        self.hold_at = command
        self.reached, self.go_on = threading.Event(), threading.Event()


class RelaySession(socketserver.StreamRequestHandler):
    server: RelayServer

    def handle(self) -> None:
        try:
            self._serve()
        except OSError:
            return  # the client was killed: that is what these tests do

    def _serve(self) -> None:
        self.server.pass_by("CONNECT")
        self._say("220 relay.example ESMTP")
        while line := self.rfile.readline():
            command = line[:4].upper().decode().strip()
            self.server.heard.append(line.decode().rstrip("\r\n"))
            self.server.pass_by(command)
            if command == "QUIT":
                return
            if command == "DATA":
                self._take_message()
            else:
                self._say(self.server.answers.get(command, "250 2.0.0 Ok"))

    def _take_message(self) -> None:
        self._say("354 Go ahead")
        lines = [self.rfile.readline()]
        self.server.pass_by("HALF")
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise ConnectionResetError("the client hung up amid the message")
            lines.append(line)
        self.server.messages.append(b"".join(lines))
        self.server.pass_by("DOT")
        self._say(self.server.answers.get("DOT", "250 2.0.0 Ok: queued as 4Zk9"))

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()


@contextmanager
def relay_server() -> Iterator[RelayServer]:
    with RelayServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()
