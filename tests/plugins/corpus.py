"""What `corepod migrate` makes of the corpus, for the tests that look at it: many of its configurations are programs
that have to be executed."""

from __future__ import annotations

import fcntl
import os
import pickle
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tools.corpus.outcome import Outcome


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Found once in a run of the tests, also where pytest-xdist spreads them over several processes."""
    from tools.corpus.outcome import outcomes

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    path = folder / "corpus"
    with (folder / "corpus.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            (folder / "corpus.part").write_bytes(pickle.dumps(outcomes()))
            (folder / "corpus.part").rename(path)
    found: list[Outcome] = pickle.loads(path.read_bytes())
    return found
