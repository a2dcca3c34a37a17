"""FastAPI: asynchronous and threaded handlers, validation, a streaming response and a WebSocket."""

from __future__ import annotations

import contextlib
import os
import threading

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

started: list[str] = []


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI):
    started.append(os.environ.get("COREPOD_SLOT", ""))
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def index():
    return {"pid": os.getpid(), "started": started}


@app.get("/items/{number}")
def item(number: int):
    return {"number": number, "pid": os.getpid(), "thread": threading.current_thread().name}


@app.post("/items")
async def create(item: dict[str, int]):
    return {"sum": sum(item.values())}


@app.get("/stream")
async def stream():
    return StreamingResponse((f"{line}\n" for line in range(3)), media_type="text/plain")


@app.websocket("/ws")
async def echo(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()
