"""Django in one file: `asgi` and `wsgi` are its two faces."""

from __future__ import annotations

import os

from django.conf import settings
from django.http import JsonResponse
from django.urls import path

settings.configure(
    DEBUG=False,
    SECRET_KEY="of no use outside this test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)

from django.core.asgi import get_asgi_application  # noqa: E402 - needs the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402


def index(request):
    return JsonResponse({"pid": os.getpid(), "kind": type(request).__name__})


async def later(request):
    return JsonResponse({"pid": os.getpid(), "kind": type(request).__name__, "async": True})


urlpatterns = [path("", index), path("later", later)]
asgi = get_asgi_application()
wsgi = get_wsgi_application()
