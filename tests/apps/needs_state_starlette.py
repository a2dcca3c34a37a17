from __future__ import annotations

from corepod import shared
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def well(request):
    return PlainTextResponse("well")


async def state(request):
    return PlainTextResponse(str(await shared.increment("visits")))


def in_thread(request):
    return PlainTextResponse(str(shared.sync.increment("visits")))


async def handled(request):
    try:
        await shared.increment("visits")
    except shared.Unavailable:
        return PlainTextResponse("without state")
    return PlainTextResponse("with state")


app = Starlette(
    routes=[Route("/", well), Route("/state", state), Route("/thread", in_thread), Route("/handled", handled)]
)
