"""WSGI whose threads take their time: /forever, /sleep?s=, /spin?s=, /stream?s=, /body, /thread, /exit?code=, /pid."""

from __future__ import annotations

import os
import sys
import threading
import time
from urllib.parse import parse_qsl


def never_set():
    threading.Event().wait()


def tireless():
    while True:
        time.sleep(0.05)


def chunks(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield b"."
        time.sleep(0.1)


def app(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    path, seconds = environ["PATH_INFO"], float(query.get("s", 1))
    body = str(os.getpid()).encode()
    if path == "/forever":
        never_set()
    elif path == "/sleep":
        time.sleep(seconds)
    elif path == "/spin":
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            sum(range(1000))
    elif path == "/body":
        body = str(len(environ["wsgi.input"].read())).encode()
    elif path == "/thread":
        threading.Thread(target=tireless).start()
    elif path == "/exit":
        sys.exit(int(query["code"]))
    start_response("200 OK", [])
    return chunks(seconds) if path == "/stream" else [body]
