"""Static files, read whole in the thread that serves the request.

WhiteNoise streams them with an iterator that blocks. Under ASGI Django warns of that, and reads them whole all the
same, in one more thread. Ours have some ten thousand octets.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import ResponseHeaders
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import Redirect, StaticFile


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]  # WhiteNoise has no types
    """WhiteNoise's choice of file and headers, in a response that is complete."""

    @staticmethod
    def serve(static_file: StaticFile | Redirect, request: HttpRequest) -> HttpResponse:
        chosen = static_file.get_response(request.method, request.META)
        content = b""
        if chosen.file:
            with chosen.file as file:
                content = file.read()
        response = HttpResponse(content, status=int(chosen.status))
        response.headers = ResponseHeaders(dict(chosen.headers))
        return response
