"""Which reloads `corepod dev` asks for, by a pool that answers what each test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from corepod.local.client import Unreachable
from corepod.local.dev import _Development, _Lines
from corepod.local.development import Need, Watches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.local.client import Client

WATCHES = Watches(
    ("/code",), ("*.py",), (), {"/code/corepod.toml": Need.START}, attached=True, shared=True, overlap=True
)


class Pool:
    """One slot, whose next worker is ready when the test says so. `asked` is what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.late = False
        self._worker, self._replaced = 1, False

    def status(self) -> dict[str, Any]:
        slot = {"slot": 0, "worker": self._worker, "being_replaced": self._replaced, "ready_at": 1.0, "why": ""}
        return {"slots": [slot], "mode": "fork", "binds": ["127.0.0.1:8000"], "app": "served:app"}

    def post(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if self.late:
            raise Unreachable("timed out")
        self._replaced = True
        return {"slot": 0, "worker": self._worker}

    def take_over(self) -> None:
        self._worker, self._replaced = self._worker + 1, False


class Lines:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str, style: str) -> None:
        self.said.append(text)


def test_all_that_is_saved_during_a_reload_causes_one_more() -> None:
    pool, lines = Pool(), Lines()

    def changes() -> Iterator[set[str]]:
        yield set()  # it has started
        yield {"/code/served.py"}
        for number in range(3):
            yield {f"/code/m{number}.py"}
            assert len(pool.asked) == 1
        pool.take_over()
        yield set()
        assert len(pool.asked) == 2
        pool.take_over()
        yield set()
        yield set()

    _Development(WATCHES, cast("Client", pool), cast("_Lines", lines)).follow(changes())
    assert pool.asked == ["/restart?slot=0"] * 2
    reloads = [line.partition(" changed: ")[0] for line in lines.said if " changed: reloaded in " in line]
    assert reloads == ["served.py", "m0.py, m1.py, m2.py"]


def test_a_save_is_not_lost_where_the_pool_is_too_busy_to_answer() -> None:
    pool, lines = Pool(), Lines()

    def changes() -> Iterator[set[str]]:
        yield set()  # it has started
        pool.late = True
        yield {"/code/served.py"}
        pool.late = False
        yield set()
        pool.take_over()
        yield set()

    _Development(WATCHES, cast("Client", pool), cast("_Lines", lines)).follow(changes())
    assert pool.asked == ["/restart?slot=0"] * 2
    assert lines.said[-1].startswith("served.py changed: reloaded in ")
