from __future__ import annotations

from corepod import shared
from fastapi import Depends, FastAPI


async def visits() -> int:
    return await shared.increment("visits")


app = FastAPI()


@app.get("/")
async def well():
    return "well"


@app.get("/state")
async def state(visits: int = Depends(visits)):
    return visits


@app.get("/thread")
def in_thread():
    return shared.sync.increment("visits")


@app.get("/handled")
async def handled():
    try:
        await shared.increment("visits")
    except shared.Unavailable:
        return "without state"
