"""What uvicorn serves: the live stream for itself, Django for all the rest."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "telltale.config.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from telltale.web.stream import STREAM_PATH, Stream  # noqa: E402  (needs Django to be set up)

stream = Stream()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await stream.lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"] == STREAM_PATH:
        await stream(scope, receive, send)
    else:
        await django_application(scope, receive, send)
