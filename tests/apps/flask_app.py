"""Flask, WSGI."""

from __future__ import annotations

import os
import threading

from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.get("/")
def index():
    return jsonify(pid=os.getpid(), thread=threading.current_thread().name)


@app.post("/body")
def body():
    return jsonify(length=len(request.get_data()))


@app.get("/stream")
def stream():
    return Response((f"{line}\n" for line in range(3)), mimetype="text/plain")


@app.get("/raise")
def fail():
    raise LookupError("asked to fail")
