"""A FastAPI application that validates a path parameter and answers JSON, as many applications mostly do."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel


class Item(BaseModel):
    number: int
    name: str
    price: float
    tags: list[str]


app = FastAPI()


@app.get("/")
async def index() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/items/{number}")
async def item(number: int) -> Item:
    return Item(number=number, name="a thing", price=9.5, tags=["one", "two", "three"])
