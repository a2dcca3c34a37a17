"""The garbage collector leaves alone what pytest holds from the collection to the end.

That are hundreds of thousands of objects. A test that frees what others have left looked at each of them otherwise, a
quarter of a second, and so did the collector itself.
"""

from __future__ import annotations

import gc

import pytest
from hypothesis import find, settings
from hypothesis.strategies import none


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    # Hypothesis asks the collector who holds its source of chance when it makes one, and takes that for nobody where
    # the holder is frozen.
    find(none(), lambda _: True, settings=settings(database=None))
    gc.collect()
    gc.freeze()
