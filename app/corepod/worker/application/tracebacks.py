"""Tracebacks as the application's author wants to see them."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


def application_traceback(error: BaseException) -> str:
    """The traceback without the frames of corepod and of the import machinery, which aren't at fault."""
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    demo = os.path.join(ours, "demo", "")
    shown: list[TracebackType] = []
    frames = error.__traceback__
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if file.startswith(demo) or not (file.startswith(os.path.join(ours, "")) or "importlib" in file):
            shown.append(frames)
        frames = frames.tb_next
    for one, following in zip(shown, [*shown[1:], None], strict=False):
        one.tb_next = following
    return "".join(traceback.format_exception(type(error), error, shown[0] if shown else None))
