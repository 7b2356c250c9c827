"""The request that a view behind the sign-in gets: LoginRequiredMiddleware has made sure who asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from telltale.accounts.models import Agent

Rest = ParamSpec("Rest")


class DeskRequest(HttpRequest):
    user: Agent


View = Callable[Concatenate[DeskRequest, Rest], HttpResponse]


def admins_only(why: str) -> Callable[[View[Rest]], View[Rest]]:
    """A view for admins; everybody else is told why not."""

    def wrap(view: View[Rest]) -> View[Rest]:
        @wraps(view)
        def checked(request: DeskRequest, /, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponse:
            if not request.user.is_admin:
                raise PermissionDenied(why)
            return view(request, *args, **kwargs)

        return checked

    return wrap
