"""The web process: uvicorn, which ends the live streams before it waits for open responses.

uvicorn by itself waits first and tells the application last. A live stream is open until somebody ends it, so each
stop of a desk that a browser looks at would take the whole patience, and end in a traceback.
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from django.conf import settings

from telltale.config.asgi import application, stream
from telltale.config.memory import keep_out_of_collections

_PATIENCE = 3  # seconds for the responses that are under way


class Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await stream.close()
        await super().shutdown(sockets)


def main() -> int:
    environment = settings.ENVIRONMENT
    keep_out_of_collections()
    server = Server(
        uvicorn.Config(
            application,
            host=environment.host,
            port=environment.port,
            lifespan="on",
            log_config=None,  # its lines go where Django's go, with the time before them
            access_log=False,
            timeout_graceful_shutdown=_PATIENCE,
        )
    )
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
