"""Django, once as ASGI and once as WSGI, whose middleware answers every exception with a page of its own."""

from __future__ import annotations

import django
from corepod import shared
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test", DEBUG=False)
django.setup()


def well(request):
    return HttpResponse("well")


async def state(request):
    return HttpResponse(str(await shared.increment("visits")))


def in_thread(request):
    return HttpResponse(str(shared.sync.increment("visits")))


def handled(request):
    try:
        shared.sync.increment("visits")
    except shared.Unavailable:
        return HttpResponse("without state")
    return HttpResponse("with state")


urlpatterns = [path("", well), path("state", state), path("thread", in_thread), path("handled", handled)]
asgi, wsgi = get_asgi_application(), get_wsgi_application()
