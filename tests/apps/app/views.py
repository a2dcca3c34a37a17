from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def index(request):
    return JSONResponse({"pid": os.getpid(), "module": __name__})


app = Starlette(routes=[Route("/", index)])
