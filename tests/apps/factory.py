"""Made by a function (--factory), ASGI and WSGI."""

from __future__ import annotations


def create_app():
    from ok import app

    return app


def create_wsgi():
    from wsgi_app import app

    return app


def create_nothing():
    return None


def create_badly():
    raise LookupError("no settings for stage 'prod'")
