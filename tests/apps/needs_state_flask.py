from __future__ import annotations

from corepod import shared
from flask import Flask

app = Flask(__name__)


@app.get("/")
def well():
    return "well"


@app.get("/state")
def state():
    return str(shared.sync.increment("visits"))


@app.get("/handled")
def handled():
    try:
        shared.sync.increment("visits")
    except shared.Unavailable:
        return "without state"
    return "with state"
