"""Which changes count, and what each of them needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from corepod.config.resolve import SettingsError, resolve
from corepod.local.development import DEFAULTS, Need, Watches, counting, named, need, prepare, set_defaults
from corepod.local.reloads import DONE, Rebuild, Restart, Start, broken
from hypothesis import given
from hypothesis import strategies as st
from watchfiles import Change, DefaultFilter

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

WATCHES = Watches(
    folders=("/home/me/.venv-of-old/shop",),
    include=("*.py", "*.html"),
    exclude=("tests", "gen_*.py", "static/*.html"),
    files={"/home/me/corepod.toml": Need.START, "/home/me/.env": Need.TEMPLATE},
    attached=True,
    shared=True,
    overlap=True,
)
ROOT = WATCHES.folders[0]


def ignored(inside: str) -> bool:
    return not DefaultFilter()(Change.modified, inside)


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("main.py", True),
        ("a/b/c.py", True),
        ("page.html", True),
        ("notes.txt", False),
        ("tests/test_a.py", False),
        ("a/tests/test_a.py", False),
        ("latests/a.py", True),
        ("a/gen_x.py", False),
        ("static/page.html", False),
        (".git/hook.py", False),
        ("a/__pycache__/b.py", False),
        (".venv/lib/a.py", False),
        ("node_modules/a/b.py", False),
        ("a.pyc", False),
    ],
)
def test_what_counts(path: str, counts: bool) -> None:
    assert bool(counting(WATCHES, [f"{ROOT}/{path}"], ignored)) == counts


def test_what_is_outside_counts_only_by_name() -> None:
    paths = ["/home/me/other.py", f"{ROOT}-2/main.py", "/home/me/corepod.toml", "/home/me/.env"]
    assert counting(WATCHES, paths, ignored) == ["/home/me/.env", "/home/me/corepod.toml"]


@pytest.mark.parametrize(
    ("paths", "facts", "wanted"),
    [
        ([], {}, Need.NOTHING),
        (["main.py"], {}, Need.WORKER),
        (["main.py"], {"forks": False}, Need.TEMPLATE),
        (["main.py"], {"complete": False}, Need.TEMPLATE),
        (["venv/lib/python3.11/site-packages/x/y.py"], {}, Need.TEMPLATE),
        (["my-site-packages/y.py"], {}, Need.WORKER),
        (["main.py", "/home/me/.env"], {}, Need.TEMPLATE),
        (["main.py", "/home/me/corepod.toml"], {}, Need.START),
    ],
)
def test_what_a_change_needs(paths: list[str], facts: dict[str, bool], wanted: Need) -> None:
    changed = [path if path.startswith("/") else f"{ROOT}/{path}" for path in paths]
    assert need(WATCHES, changed, **{"forks": True, "complete": True, **facts}) is wanted


@pytest.mark.parametrize("other", [{"shared": False}, {"overlap": False}])
def test_what_holds_old_code_is_made_anew(other: dict[str, Any]) -> None:
    watches = replace(WATCHES, **other)
    assert need(watches, [f"{ROOT}/main.py"], forks=True, complete=True) is Need.TEMPLATE


PATHS = st.lists(
    st.sampled_from([f"{ROOT}/main.py", "/home/me/.env", "/x/site-packages/a.py", "/home/me/corepod.toml"])
)


@given(PATHS, PATHS, st.booleans(), st.booleans())
def test_more_changes_never_need_less(one: list[str], more: list[str], forks: bool, complete: bool) -> None:
    assert need(WATCHES, one + more, forks=forks, complete=complete) >= need(
        WATCHES, one, forks=forks, complete=complete
    )


def test_names_are_short() -> None:
    assert named(WATCHES, [f"{ROOT}/{name}.py" for name in "abcde"]) == "a.py, b.py, c.py and 2 more"
    assert named(WATCHES, ["/home/me/.env"]) == "/home/me/.env"


# Settings


def test_what_the_user_says_goes_before_and_the_file_does_not(tmp_path: Path) -> None:
    (tmp_path / "corepod.toml").write_text('workers = 4\nstandby = "live"\nkeep_alive = 7\n')
    environ = {"COREPOD_LOG_LEVEL": "debug", "WEB_CONCURRENCY": "3"}
    flags = {"app": "main:app", "access_log": False, "chdir": str(tmp_path)}
    effective = resolve(flags, environ, str(tmp_path / "corepod.toml"), pod=False, needs_app=True)
    set_defaults(effective)
    watches = prepare(effective, str(tmp_path / "corepod.toml"), pod=False)
    values = effective.values
    assert (values["workers"], values["log_level"], values["access_log"]) == (1, "debug", False)
    assert (values["standby"], values["keep_alive"], values["debug"]) == ("none", 7, True)
    assert watches.folders == (str(tmp_path),)
    assert watches.files == {str(tmp_path / "corepod.toml"): Need.START}
    assert effective.sources["workers"] == "corepod dev"


def test_reload_alone_changes_only_what_it_depends_on() -> None:
    effective = resolve({"app": "main:app", "reload": True}, {}, None, pod=False, needs_app=True)
    before = dict(effective.values)
    prepare(effective, "corepod.toml", pod=False)
    assert {name for name, value in effective.values.items() if value != before[name]} == {"standby"}
    assert set(DEFAULTS) <= set(before)


def test_faults_are_told_together() -> None:
    effective = resolve({"app": "main:app", "reload": True, "reload_dir": ["/no"]}, {}, None, pod=False)
    with pytest.raises(SettingsError) as error:
        prepare(effective, "corepod.toml", pod=True)
    assert len(error.value.faults) == 2


# What is under way


def slot(worker: int | None = 2, **facts: Any) -> dict[str, Any]:
    return {"slot": 0, "worker": worker, "ready_at": 1.0, "being_replaced": False, "why": "", **facts}


@pytest.mark.parametrize(
    ("now", "ended"),
    [
        (slot(1, being_replaced=True), ""),
        (slot(None, ready_at=None), ""),
        (slot(2), DONE),
        (slot(1), "the new worker didn't become ready, and the old one stays"),
    ],
)
def test_a_restart_ends_with_another_worker_or_without(now: dict[str, Any], ended: str) -> None:
    assert Restart(0.0, "main.py", {0: 1}).ended({"slots": [now]}) == ended


def test_a_reload_ends_when_its_number_does() -> None:
    reload = Rebuild(0.0, "main.py", 2)
    assert reload.ended({"reloads": {"asked": 2, "ended": 1, "failure": "x"}}) == ""
    assert reload.ended({"reloads": {"asked": 2, "ended": 2, "failure": ""}}) == DONE
    assert reload.ended({"reloads": {"asked": 3, "ended": 3, "failure": "x"}}) == "not reloaded: x"


def test_a_start_ends_when_every_slot_is_ready() -> None:
    assert Start(0.0).ended({"slots": [slot(), slot(None, ready_at=None)]}) == ""
    assert Start(0.0).ended({"slots": [slot(), slot()]}) == DONE


def test_only_what_the_page_stands_for_is_broken() -> None:
    assert broken(slot(why="the application says: the application is broken: SyntaxError")) == "SyntaxError"
    assert broken(slot(why="slot 0 is starting")) == ""
