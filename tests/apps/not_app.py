"""Things that aren't applications."""

from __future__ import annotations

app = 42
text = "ok:app"
nothing = None


def no_argument():
    return 1


def one_argument(scope):
    return scope


class Application:
    """A class, not yet an application: somebody forgot the parentheses."""

    async def __call__(self, scope, receive, send):
        raise AssertionError
