"""The garbage collector leaves alone what pytest holds from the collection to the end.

Those are hundreds of thousands of objects. Otherwise each test that frees what others have left would look at all of
them, which takes a quarter of a second, and so would the collector whenever it looks at its oldest objects.
"""

from __future__ import annotations

import gc

import pytest
from hypothesis import find, settings
from hypothesis.strategies import none


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    # Hypothesis makes its random generator with the first example, and warns where the collector knows nobody who holds
    # it. It knows nobody who is frozen.
    find(none(), lambda _: True, settings=settings(database=None))
    gc.collect()
    gc.freeze()
