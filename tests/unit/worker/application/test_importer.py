"""From MODULE:ATTRIBUTE to an ASGI application: every kind of callable, and what is said where there is none."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from corepod.worker.application import importer
from corepod.worker.application.importer import AppNotFoundError, detect_interface, import_application
from corepod.worker.application.tracebacks import application_traceback

from tests.unit.served import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

APPS = Path(__file__).parents[3] / "apps"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The applications can be imported, and are imported anew by each test."""
    monkeypatch.syspath_prepend(str(APPS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(APPS) in str(sys.modules[name].__file__):
            del sys.modules[name]


def loaded(reference: str, **changed: Any) -> Any:
    return import_application(settings(app=reference, **changed))


FASTAPI = pytest.param("fastapi_app:app", marks=pytest.mark.compat("fastapi"))


@pytest.mark.parametrize("reference", ["ok:app", "ok", "app.main:app", "app.main", FASTAPI])
def test_asgi(reference: str) -> None:
    app = loaded(reference)
    module = sys.modules[reference.partition(":")[0]]
    assert app is getattr(module, reference.partition(":")[2] or "app")


@pytest.mark.parametrize("reference", ["wsgi_app:app", "flask_app"])
def test_wsgi(reference: str) -> None:
    assert loaded(reference).__module__ == "corepod.worker.application.wsgi"


@pytest.mark.compat("django")
def test_both_faces_of_django() -> None:
    from django.conf import settings as of_django
    from django.utils.functional import empty

    # A process has settings of Django once, and another test may have made them in this one.
    before, of_django._wrapped = of_django._wrapped, empty
    try:
        assert type(loaded("django_app:asgi")).__name__ == "ASGIHandler"
        assert loaded("django_app:wsgi").__module__ == "corepod.worker.application.wsgi"
    finally:
        of_django._wrapped = before


def test_folders_in_front_of_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, and where they really are."""
    for name in ("here", "first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "found_in.py").write_text(
            f"place = {name!r}\n\n\nasync def app(scope, receive, send): ...\n"
        )
    (tmp_path / "link").symlink_to("first")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    folders = [str(tmp_path / "link"), str(tmp_path / "second")]
    monkeypatch.delitem(sys.modules, "found_in", raising=False)
    app = loaded("found_in:app", pythonpath=folders)
    assert app.__globals__["place"] == "first"
    assert sys.path[:3] == [str(tmp_path / name) for name in ("first", "second", "here")]
    del sys.modules["found_in"]


def test_factories() -> None:
    assert loaded("factory:create_app", factory=True) is sys.modules["ok"].app
    assert loaded("factory:create_wsgi", factory=True).__module__ == "corepod.worker.application.wsgi"


@pytest.mark.parametrize(
    ("reference", "arguments"),
    [
        ("factory:create_with('/srv')", ("/srv", (), "", None)),
        ("factory:create_with( 1, 2.5, None, )", (1, (2.5, None), "", None)),
        ("factory:create_with(-1, name='a:b(c)')", (-1, (), "a:b(c)", None)),
        ("factory:create_with(b'', options={'tags': ['x', ('y', True)]})", (b"", (), "", {"tags": ["x", ("y", True)]})),
        ("factory:Factories.create([])", ([], (), "", None)),
        (" factory : create_with('spaces')", ("spaces", (), "", None)),
    ],
)
@pytest.mark.parametrize("factory", [False, True])
def test_factories_with_arguments(reference: str, arguments: Any, factory: bool) -> None:
    """Each is called once, also where --factory says again that it is one."""
    app = loaded(reference, factory=factory)
    assert app is sys.modules["ok"].app
    assert sys.modules["factory"].calls == [arguments]


def test_factories_without_arguments() -> None:
    assert loaded("factory:create_app()") is sys.modules["ok"].app
    assert loaded("factory:create_wsgi()").__module__ == "corepod.worker.application.wsgi"


def test_a_submodule_is_not_the_application() -> None:
    assert loaded("shadowed") is sys.modules["ok"].app


def test_a_name_that_stands_for_something_else_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    other_names = importlib.import_module("other_names")
    for nothing in (None, 42, other_names, AsgiObject, other_names.make_app):
        monkeypatch.setattr(other_names, "app", nothing)
        monkeypatch.setattr(other_names, "application", other_names.server)
        assert loaded("other_names") is other_names.server
    monkeypatch.setattr(other_names, "application", None)
    with pytest.raises(AppNotFoundError, match="no application: app is a function"):
        loaded("other_names")
    assert loaded("other_names", factory=True) is other_names.server


def test_the_interface_can_be_given() -> None:
    """Where the signature tells nothing."""
    assert loaded("hidden:app", interface="asgi") is sys.modules["hidden"].app
    assert loaded("hidden:app", interface="wsgi").__module__ == "corepod.worker.application.wsgi"
    assert loaded("wsgi_app:app", interface="wsgi").__module__ == "corepod.worker.application.wsgi"
    assert loaded("ok:app", interface="asgi") is sys.modules["ok"].app


@pytest.mark.parametrize(
    ("reference", "given", "right"),
    [
        ("wsgi_app:app", "asgi", "wsgi"),
        ("ok:app", "wsgi", "asgi"),
        pytest.param("flask_app", "asgi", "wsgi", marks=pytest.mark.compat("flask")),
        pytest.param("fastapi_app:app", "wsgi", "asgi", marks=pytest.mark.compat("fastapi")),
    ],
)
def test_an_interface_that_cannot_be_right(reference: str, given: str, right: str) -> None:
    with pytest.raises(AppNotFoundError, match=rf"--interface {given}\); use --interface {right}, or auto"):
        loaded(reference, interface=given)


def test_the_sample_application_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "starlette" or name == "corepod.demo"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(AppNotFoundError, match=r"pip install 'corepod\[demo\]'"):
        loaded("corepod.demo:app")


@pytest.mark.parametrize(
    ("reference", "factory", "message"),
    [
        ("nowhere:app", False, "there is no module 'nowhere'; looked in "),
        ("app.nowhere:app", False, "there is no module 'app.nowhere'"),
        ("ok.nowhere:app", False, "there is no module 'ok.nowhere'"),
        ("ok.py:app", False, "'ok.py' is not a module's name; a Python module is named with dots, without .py"),
        ("./ok:app", False, "is not a module's name"),
        ("", False, "'' is not a module's name"),
        ("ok:ap", False, "module 'ok' has no attribute 'ap'; did you mean 'app'?"),
        ("ok:app.missing", False, "module 'ok' has no attribute 'app.missing'"),
        ("heavy:MEMORY", False, "heavy:MEMORY is a bytes, neither an ASGI nor a WSGI application"),
        ("boot_error_free", False, "there is no module 'boot_error_free'"),
        ("factory", False, "module 'factory' has neither app nor application; name it: factory:create_app(); it has "),
        ("boto_free", False, "there is no module 'boto_free'"),
        ("flagged.nothing", False, "there is no module 'flagged.nothing'"),
        ("other_names", False, "no application: app is a module, application is None; name it: other_names:server; "),
        ("other_names", False, "it has server, make_app()"),
        ("other_names:app", False, "other_names:app is a module, neither"),
        ("other_names:app()", False, "other_names:app is a module, not a function that makes an application (called"),
        ("not_app", False, "module 'not_app' has no application: app is an int; name it: not_app:ATTRIBUTE"),
        ("factory:create_app(", False, "'create_app(' can't be read: '(' was never closed"),
        ("factory:create-app", False, "'create-app' is neither an attribute's name nor one call of a function"),
        ("factory:create_app()()", False, "'create_app()()' is neither"),
        ("factory:calls[0]", False, "'calls[0]' is neither"),
        ("factory:create_app().app", False, "'create_app().app' is neither"),
        ("factory:create_app(); x", False, "can't be read: invalid syntax"),
        ("factory:create_ap()", False, "module 'factory' has no attribute 'create_ap'; did you mean 'create_app'?"),
        ("factory:create_app(1)", False, "can't be called with these arguments: too many positional arguments"),
        ("factory:create_with()", False, "can't be called with these arguments: missing a required argument: 'root'"),
        ("factory:create_with(1, nam='x')", False, "got an unexpected keyword argument 'nam'"),
        ("factory:create_with(name='x', root=1)", False, "factory:create_with can't be called with these arguments: "),
        ("factory:create_with", True, "factory:create_with can't be called with these arguments: missing"),
        ("factory:create_with(environ)", False, "have to be literals (text in quotes, numbers, True, None, lists"),
        ("factory:create_with(open('/'))", False, "and open('/') isn't one"),
        ("factory:create_with([calls])", False, "the arguments of create_with() have to be literals"),
        ("factory:create_with({[]: 1})", False, "and {[]: 1} isn't one"),
        ("factory:create_with(*[1])", False, "and *[1] isn't one"),
        ("factory:create_with(1, **{})", False, "the arguments of create_with(): ** is not possible here"),
        ("factory:create_with(1, name=1, name=2)", False, "the arguments of create_with(): name is given twice"),
        ("factory:create_with(" + "[" * 5000, False, "can't be read: "),
        ("factory:create_later()", False, "factory:create_later is an async function: it returned a coroutine"),
        ("factory:create_later", True, "factory:create_later is an async function: it returned a coroutine"),
        ("factory:create_nothing()", False, "factory:create_nothing() is None, neither an ASGI nor a WSGI"),
        ("factory:create_app", False, "factory:create_app is a function, neither"),
        ("factory:create_app", False, "is it a factory (--factory)"),
        ("factory:create_nothing", True, "factory:create_nothing() is None, neither an ASGI nor a WSGI application"),
        ("not_app:app", False, "not_app:app is an int, neither an ASGI nor a WSGI application"),
        ("not_app:app", True, "not_app:app is an int, not a function that makes an application (--factory)"),
        ("not_app:text", False, "not_app:text is a str, neither"),
        ("not_app:nothing", False, "not_app:nothing is None, neither"),
        ("not_app:Application", False, "not_app:Application is the class Application, neither"),
        ("not_app:no_argument", False, "not_app:no_argument is a function, neither"),
        ("not_app:one_argument", False, "not_app:one_argument is a function, neither"),
    ],
)
def test_no_application(reference: str, factory: bool, message: str) -> None:
    with pytest.raises(AppNotFoundError) as caught:
        loaded(reference, factory=factory)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "factory", "error"),
    [
        ("boot_error:app", False, ValueError),
        ("missing_import:app", False, ModuleNotFoundError),
        ("factory:create_badly", True, LookupError),
        ("factory:create_badly()", False, LookupError),
        ("factory:create_wrongly()", False, TypeError),  # not of the call itself
    ],
)
def test_faults_of_the_applications_own(reference: str, factory: bool, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        loaded(reference, factory=factory)
    assert not isinstance(caught.value, AppNotFoundError)


def test_the_traceback_of_a_fault_begins_in_the_users_code() -> None:
    with pytest.raises(ValueError, match="DATABASE_URL") as caught:
        loaded("boot_error:app")
    # What the loader's traceback begins with: its own frame, not those of this test.
    assert caught.tb.tb_next is not None
    text = application_traceback(caught.value.with_traceback(caught.tb.tb_next.tb_next))
    assert text.index("boot_error.py") < text.index("DATABASE_URL has no host")
    assert "importlib" not in text
    assert "loading.py" not in text


def test_a_syntax_error_of_the_users_module_has_no_frame_and_is_told() -> None:
    with pytest.raises(SyntaxError) as caught:
        compile("x = (", "main.py", "exec")
    assert "'(' was never closed" in application_traceback(caught.value.with_traceback(None))


# What the signature says


async def asgi_function(scope: Any, receive: Any, send: Any) -> None: ...


async def asgi_of_two(scope: Any, *channels: Any) -> None: ...


def returns_a_coroutine(scope: Any, receive: Any, send: Any) -> Any: ...


def wsgi_function(environ: Any, start_response: Any) -> Any: ...


def wsgi_with_more(environ: Any, start_response: Any, option: int = 1, *, switch: bool = False) -> Any: ...


def anything(*args: Any) -> Any: ...


class AsgiObject:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def method(self, scope: Any, receive: Any, send: Any) -> None: ...


class WsgiObject:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...

    def method(self, environ: Any, start_response: Any) -> Any: ...


@pytest.mark.parametrize(
    ("thing", "interface"),
    [
        (asgi_function, "asgi"),
        (asgi_of_two, "asgi"),
        (returns_a_coroutine, "asgi"),
        (functools.partial(asgi_function), "asgi"),
        (functools.wraps(asgi_function)(returns_a_coroutine), "asgi"),
        (AsgiObject(), "asgi"),
        (AsgiObject().method, "asgi"),
        (wsgi_function, "wsgi"),
        (wsgi_with_more, "wsgi"),
        (functools.partial(wsgi_with_more, option=2), "wsgi"),
        (WsgiObject(), "wsgi"),
        (WsgiObject().method, "wsgi"),
        (lambda environ, start_response: None, "wsgi"),
        (anything, ""),
        (AsgiObject, ""),
        (WsgiObject, ""),
        (print, ""),
        (dict, ""),
        (42, ""),
        (None, ""),
    ],
)
def test_detect(thing: Any, interface: str) -> None:
    assert detect_interface(thing) == interface


@pytest.mark.parametrize(
    ("thing", "asgi", "wsgi"),
    [
        (asgi_function, True, False),
        (asgi_of_two, True, False),
        (returns_a_coroutine, True, False),
        (AsgiObject(), True, False),
        (wsgi_function, False, True),
        (wsgi_with_more, True, True),
        (WsgiObject().method, False, True),
        (anything, True, True),
        (dict, True, True),
        (lambda: None, False, False),
    ],
)
def test_what_a_signature_rules_out(thing: Any, asgi: bool, wsgi: bool) -> None:
    assert (importer._may_be(thing, "asgi"), importer._may_be(thing, "wsgi")) == (asgi, wsgi)
