"""What the user writes for a hook: the URL of a webhook, MODULE:FUNCTION of the application's code, or a command."""

from __future__ import annotations

import re

HOOKS = ("on_ready", "on_exit", "on_reload", "on_give_up")  # settings
WEBHOOK, FUNCTION, COMMAND = "webhook", "function", "command"
_NAME = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_FUNCTION = re.compile(f"{_NAME}:{_NAME}")


def kind(text: str) -> str:
    """Which of the three it is."""
    if text.lower().startswith(("http://", "https://")):
        return WEBHOOK
    return FUNCTION if _FUNCTION.fullmatch(text) else COMMAND


def shown(text: str) -> str:
    """Its name in the log. The path of a webhook is often a secret, and so may be what follows a command."""
    if kind(text) == WEBHOOK:
        return "/".join(text.split("/")[:3])
    return text.split(maxsplit=1)[0]
