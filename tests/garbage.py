"""What tests leave behind in cycles of references: freed in the middle of another one, it gives descriptors back there,
and has asyncio complain."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def kept() -> Iterator[None]:
    """Meanwhile the collector frees nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
