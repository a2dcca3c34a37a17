"""Requests that need shared state, and others, as a plain WSGI application."""

from __future__ import annotations

from corepod import shared


def app(environ, start_response):
    text = b"well"
    if environ["PATH_INFO"] == "/state":
        text = b"%d" % shared.sync.increment("visits")
    elif environ["PATH_INFO"] == "/handled":
        try:
            shared.sync.increment("visits")
        except shared.Unavailable:
            text = b"without state"
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
