"""Several applications and environments in corepod.toml: which table counts, and what is wrong where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from corepod.config.apps import resolve_all
from corepod.config.resolve import Effective, SettingsError, resolve
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
workers = 1
backlog = 10
keep_alive = 1

[env]
WHO = "all"
REGION = "eu"

[env.production]
backlog = 20
keep_alive = 2
log_format = "json"
REGION = "us"

[apps.shop]
app = "shop:app"
keep_alive = 3
bind = ":8001"

[apps.shop.env]
WHO = "shop"
RETRIES = 3

[apps.shop.env.production]
keep_alive = 4
DATABASE_URL = "postgres://db/shop"

[apps.admin]
app = "admin:app"
name = "back-office"
bind = ":8002"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "corepod.toml"


def settle(
    path: Path, text: str, flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> Effective:
    path.write_text(text)
    return resolve(flags or {}, environ or {}, str(path), pod=False, needs_app=True)


def faults(
    path: Path, text: str, flags: dict[str, Any] | None = None, environ: dict[str, str] | None = None
) -> list[str]:
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        resolve_all(flags or {}, environ or {}, str(path))
    return [fault.replace(str(path), "FILE") for fault in caught.value.faults]


def test_an_application_has_the_settings_of_all_and_its_own(path: Path) -> None:
    shop = settle(path, FILE, {"app": "shop"})
    assert (shop.values["app"], shop.values["name"], shop.application) == ("shop:app", "shop", "shop")
    assert (shop.values["backlog"], shop.sources["backlog"]) == (10, str(path))
    assert (shop.values["keep_alive"], shop.sources["keep_alive"]) == (3.0, f"{path} [apps.shop]")
    assert shop.variables == {"WHO": "shop", "REGION": "eu", "RETRIES": "3"}
    admin = settle(path, FILE, {"app": "admin"})
    assert (admin.values["name"], admin.values["keep_alive"]) == ("back-office", 1.0)
    assert admin.variables == {"WHO": "all", "REGION": "eu"}


def test_an_environment_changes_settings_and_variables(path: Path) -> None:
    shop = settle(path, FILE, {"app": "shop", "env": "production"})
    assert (shop.values["keep_alive"], shop.sources["keep_alive"]) == (4.0, f"{path} [apps.shop.env.production]")
    assert (shop.values["backlog"], shop.sources["backlog"]) == (20, f"{path} [env.production]")
    assert shop.values["workers"] == 1
    expected = {"WHO": "shop", "REGION": "us", "RETRIES": "3", "DATABASE_URL": "postgres://db/shop"}
    assert shop.variables == expected
    # What is said of an application counts before what is said of all of them, in whichever environment.
    admin = settle(path, FILE, {"app": "admin"}, {"COREPOD_ENV": "production"})
    assert (admin.values["keep_alive"], admin.values["log_format"]) == (2.0, "json")


def test_flag_and_variable_come_before_the_file(path: Path) -> None:
    flags = {"app": "shop", "env": "production", "backlog": "7"}
    shop = settle(path, FILE, flags, {"COREPOD_KEEP_ALIVE": "8", "COREPOD_ENV": "nowhere"})
    assert (shop.values["backlog"], shop.values["keep_alive"]) == (7, 8.0)
    assert settle(path, FILE, {}, {"COREPOD_APP": "shop"}).application == "shop"


LAYERS = ("", "[env.e]", "[apps.a]", "[apps.a.env.e]")


@given(
    given=st.sets(st.sampled_from(["flag", "variable", *LAYERS])),
    environment=st.booleans(),
)
def test_the_order_of_precedence(tmp_path_factory: pytest.TempPathFactory, given: set[str], environment: bool) -> None:
    """Compared with the order as it is documented, for every combination of places."""
    path = tmp_path_factory.mktemp("order") / "corepod.toml"
    text = "".join(
        f"{layer}\n{'backlog = ' + str(100 + at) if layer in given else ''}\n" for at, layer in enumerate(LAYERS)
    )
    flags = {"app": "a", "backlog": "1" if "flag" in given else None, "env": "e" if environment else None}
    environ = {"COREPOD_BACKLOG": "2"} if "variable" in given else {}
    path.write_text(text)
    value = resolve(flags, environ, str(path), pod=False).values["backlog"]
    order = [("flag", 1), ("variable", 2), ("[apps.a.env.e]", 103), ("[apps.a]", 102), ("[env.e]", 101), ("", 100)]
    counts = [number for place, number in order if place in given and (environment or ".e]" not in place)]
    assert value == (counts[0] if counts else 2048)


def test_the_only_application_needs_no_name(path: Path) -> None:
    assert settle(path, '[apps.shop]\napp = "shop:app"').values["name"] == "shop"


def test_several_need_one(path: Path) -> None:
    path.write_text('app = "main:app"\n[apps.a]\n[apps.b]\n')
    with pytest.raises(SettingsError, match=r"has several applications \(a, b\): name the one that is meant"):
        resolve({}, {}, str(path), pod=False, needs_app=True)
    # A default for all of them is the application of each; one that is named beside the file is neither of them.
    assert settle(path, 'app = "main:app"\n[apps.a]\n[apps.b]\n', {"app": "b"}).values["app"] == "main:app"
    other = settle(path, FILE, {"app": "other:app"})
    assert (other.application, other.values["name"], other.values["backlog"]) == ("", "", 10)


def test_a_module_that_may_be_a_misspelt_application(path: Path) -> None:
    assert "did you mean shop?" in settle(path, FILE, {"app": "shp"}).warnings[-1]
    assert settle(path, FILE, {"app": "shp:app"}).warnings == []


def test_an_application_without_one(path: Path) -> None:
    assert faults(path, "[apps.shop]\nworkers = 1") == [
        "FILE [apps.shop]: app is missing: the application, as MODULE:ATTRIBUTE"
    ]


def test_an_unknown_environment_names_those_that_exist(path: Path) -> None:
    (fault,) = faults(path, FILE, {"app": "shop", "env": "prod"})
    assert fault == "--env: there is no environment 'prod' in FILE; it has production"
    (fault,) = faults(path, FILE, {"app": "shop"}, {"COREPOD_ENV": "prod"})
    assert fault.startswith("COREPOD_ENV: there is no environment 'prod'")
    (fault,) = faults(path, 'app = "a:b"', {"env": "prod"})
    assert "it has none; [env.NAME]" in fault
    (fault,) = faults(path, 'app = "a:b"', {"env": "DEBUG=1"})  # as gunicorn's flag of this name
    assert fault.endswith("variables go into --env-file FILE")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[apps.shop]\nwrokers = 1", "FILE [apps.shop]: there is no setting 'wrokers'; did you mean workers?"),
        ("[apps.shop]\nworkers = 0", "FILE [apps.shop]: workers: '0' is not auto or"),
        ("[apps.shop.env.production]\nworkers = 0", "FILE [apps.shop.env.production]: workers: '0' is not"),
        ("[apps.shop.env.production]\nhttp_proxy = 'x'", "there is no setting 'http_proxy'; variables are written in"),
        (
            "[env.production]\nbakclog = 1",
            "FILE [env.production]: there is no setting 'bakclog'; did you mean backlog?",
        ),
        ("[apps.shop.env]\nworkers = 1", "FILE [apps.shop.env]: workers is a setting, and here are variables"),
        ("[apps.shop.env]\nhttp_proxy = 'x'", "FILE [apps.shop.env]: 'http_proxy' is not the name of a variable"),
        ("[env]\nCOREPOD_WORKERS = 1", "FILE [env]: COREPOD_WORKERS is the setting workers; set that in its place"),
        ("[env]\nDEBUG = true", "FILE [env]: DEBUG: the value of a variable is a text"),
        ("[env]\nDEBUG = [1]", "FILE [env]: DEBUG: the value of a variable is a text"),
        ("env = 1", "FILE: env has to be a table, [env]"),
        ("apps = 1", "FILE: apps has to be tables, [apps.NAME]"),
        ("[apps]\nshop = 'shop:app'", "FILE: apps.shop has to be a table, [apps.shop]"),
        ("[apps.'a b']\napp = 'a:b'", "FILE: [apps.'a b']: a name has letters"),
        ("[apps.shop]\nstandby = 'live'\nenv = 1", "FILE: apps.shop.env has to be a table"),
    ],
)
def test_a_fault_names_its_table(path: Path, text: str, fault: str) -> None:
    found = faults(path, text, {"app": "shop:app"})
    assert len(found) == 1
    assert fault in found[0]


def test_faults_of_all_tables_are_reported_together_and_once(path: Path) -> None:
    text = "nope = 1\n[apps.a]\nworkers = 0\n[apps.b]\nstandby = 'x'\n[apps.b.env.e]\nbacklog = 'y'"
    assert len(faults(path, text, {"keep_alive": "z"})) == 5 + 2  # neither has an application


def test_all_applications_are_settled_in_their_order(path: Path) -> None:
    path.write_text(FILE)
    all_of_them = resolve_all({"env": "production"}, {}, str(path))
    assert [one.application for one in all_of_them] == ["shop", "admin"]
    (shop,) = resolve_all({"app": "shop"}, {}, str(path))
    assert shop.application == "shop"
    path.write_text('app = "main:app"')
    assert [one.values["app"] for one in resolve_all({}, {}, str(path))] == ["main:app"]


@pytest.mark.parametrize(
    ("a", "b", "clash"),
    [
        ("bind = ':8001'", "bind = ':8001'", True),
        ("bind = ':8001'", "bind = '127.0.0.1:8001'", True),
        ("bind = '127.0.0.2:8001'", "bind = '127.0.0.1:8001'", False),
        ("bind = '127.0.0.1:0'", "bind = '127.0.0.1:0'", False),
        ("bind = 'unix:/run/a'", "bind = 'unix:/run/a'", True),
        ("bind = 'unix:/run/a:0'", "bind = 'unix:/run/a:0'", True),
        ("bind = 'unix:/run/a'", "bind = 'unix:/run/b'", False),
        ("bind = ':1'\nadmin = ':2'", "bind = ':2'", True),
        ("bind = ':1'\nadmin = ':3'", "bind = ':2'\nadmin = ':3'", True),
        ("bind = ':1'\nadmin = 'none'", "bind = ':2'\nadmin = 'none'", False),
        ("bind = ':1'", "bind = ':2'", False),  # the default of the admin port may move
        ("bind = ':1'\ncontrol = '@a'", "bind = ':2'\ncontrol = '@a'", True),
        ("bind = ':1'\nname = 'x'", "bind = ':2'\nname = 'x'", True),
        ("", "", True),
    ],
)
def test_two_applications_with_one_address_or_name(path: Path, a: str, b: str, clash: bool) -> None:
    text = f'app = "main:app"\n[apps.a]\n{a}\n[apps.b]\n{b}\n'
    if not clash:
        path.write_text(text)
        assert len(resolve_all({}, {}, str(path))) == 2
        return
    (fault,) = faults(path, text)
    assert "the applications a and b" in fault
