"""Plain WSGI: who answers, /sleep?s=, /body and /upload, /environ."""

from __future__ import annotations

import json
import os
import threading
import time
from urllib.parse import parse_qsl


def app(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    path = environ["PATH_INFO"]
    result = {"pid": os.getpid(), "slot": os.environ.get("COREPOD_SLOT"), "thread": threading.current_thread().name}
    if path == "/sleep":
        time.sleep(float(query.get("s", 1)))
    elif path in ("/body", "/upload"):
        result["length"] = len(environ["wsgi.input"].read())
    elif path == "/environ":
        result["environ"] = {key: value for key, value in environ.items() if isinstance(value, str)}
    content = json.dumps(result).encode()
    start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(content)))])
    return [content]
