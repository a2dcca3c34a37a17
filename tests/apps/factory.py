"""Made by a function, ASGI and WSGI."""

from __future__ import annotations

calls = []  # the arguments that each call of `create_with` had


def create_app():
    from ok import app

    return app


def create_wsgi():
    from wsgi_app import app

    return app


def create_with(root, /, *more, name="", options=None):
    calls.append((root, more, name, options))
    return create_app()


def create_nothing():
    return None


def create_badly():
    raise LookupError("no settings for stage 'prod'")


def create_wrongly():
    return len(5)


async def create_later():
    return create_app()


class Factories:
    create = staticmethod(create_with)
