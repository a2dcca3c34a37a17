"""Django's own sessions and logins, with their data in the shared state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from corepod import shared
from corepod.shared import sync
from corepod.shared.sessions.keys import Keys, place
from corepod.shared.sessions.record import NotJSON, SessionTooLarge

pytestmark = pytest.mark.compat("django")
KEY, OTHER = "k" * 32, "o" * 32
SETTINGS = {
    "SECRET_KEY": KEY,
    "SESSION_ENGINE": "corepod.shared.sessions.django",
    "SESSION_COOKIE_AGE": 1000,
    "MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"],
    "ALLOWED_HOSTS": ["*"],
    "ROOT_URLCONF": __name__,
    "USE_TZ": True,
}
urlpatterns: list[Any] = []

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _django() -> Iterator[None]:
    from django.conf import settings
    from django.test.utils import override_settings
    from django.urls import path

    if not settings.configured:
        settings.configure(**SETTINGS)
    urlpatterns[:] = [path("<do>", _view), path("later/<do>", _later)]
    with override_settings(**SETTINGS):
        yield


def _view(request: Any, do: str) -> Any:
    from django.http import JsonResponse

    match do:
        case "login":
            request.session.cycle_key()
            request.session["user"] = "ada"
        case "logout":
            request.session.flush()
        case "ended":
            request.session["user"] = "bob"
            sync.delete(place(request.session.session_key.partition(".")[0]))
        case "static":
            return JsonResponse({})
    return JsonResponse(dict(request.session.items()))


async def _later(request: Any, do: str) -> Any:
    from django.http import JsonResponse

    if do == "login":
        await request.session.acycle_key()
        await request.session.aset("user", "ada")
    elif do == "logout":
        await request.session.aflush()
    elif do == "wrong":
        request.session["user"]
    return JsonResponse(dict(await request.session.aitems()))


def store(key: str | None = None) -> Any:
    from corepod.shared.sessions.django import SessionStore

    return SessionStore(key)


def saved(**data: Any) -> Any:
    session = store()
    session.update(data)
    session.save()
    return session


def stored(key: str) -> Any:
    found = sync.get(place(key.partition(".")[0]))
    return found and found["data"]


def test_a_session_from_login_to_logout() -> None:
    from django.test import Client

    client = Client()
    planted = saved(cart=1).session_key
    client.cookies["sessionid"] = planted
    assert client.get("/login").json() == {"cart": 1, "user": "ada"}
    key = client.cookies["sessionid"].value
    assert key != planted
    assert stored(planted) is None
    assert stored(key) == {"cart": 1, "user": "ada"}
    assert client.get("/show").json() == {"cart": 1, "user": "ada"}
    client.get("/logout")
    assert stored(key) is None
    assert client.get("/show").json() == {}
    assert "sessionid" not in Client().get("/static").cookies


def test_the_asynchronous_methods_do_the_same() -> None:
    from django.test import AsyncClient

    async def main() -> None:
        client = AsyncClient()
        await client.get("/later/login")
        key = client.cookies["sessionid"].value
        assert (await client.get("/later/show")).json() == {"user": "ada"}
        await client.get("/later/login")
        assert (await client.get("/later/show")).json() == {"user": "ada"}
        assert client.cookies["sessionid"].value != key
        await client.get("/later/logout")
        assert (await client.get("/later/show")).json() == {}
        await shared.close()

    asyncio.run(main())


def test_a_session_that_was_ended_elsewhere_doesnt_come_back() -> None:
    from django.contrib.sessions.backends.base import UpdateError
    from django.test import Client

    client = Client()
    client.cookies["sessionid"] = saved(user="ada").session_key
    assert client.get("/ended").status_code == 400, "Django's SessionInterrupted"
    key = saved(user="ada").session_key
    slow, renewing = store(key), store(key)
    assert slow["user"] == renewing["user"] == "ada"
    store(key).flush()
    slow["cart"] = 1
    with pytest.raises(UpdateError):
        slow.save()
    renewing["cart"] = 2
    renewing.cycle_key()
    assert renewing.session_key != key
    assert stored(renewing.session_key) == {"cart": 2}, "only what the request itself has set"
    assert stored(key) is None


def test_changes_of_requests_at_the_same_time_are_all_kept() -> None:
    session = saved(user="ada", old=1)
    one, two = store(session.session_key), store(session.session_key)
    one["a"], two["b"] = 1, 2
    del two["old"]
    one.save()
    two.save()
    assert stored(session.session_key) == {"user": "ada", "a": 1, "b": 2}
    assert dict(two.items()) == stored(session.session_key)
    two["c"] = 3
    two.save()
    one["a"] = 4
    one.save()
    assert stored(session.session_key) == {"user": "ada", "a": 4, "b": 2, "c": 3}


@pytest.mark.parametrize("key", ["", "garbage", "a" * 43 + "." + "b" * 43, Keys([OTHER]).sign("a" * 43)])
def test_a_foreign_key_is_no_session(key: str) -> None:
    session = store(key)
    assert dict(session.items()) == {}
    assert session.session_key is None
    assert not session.exists(key)
    session["user"] = "ada"
    session.save()
    assert session.session_key != key
    assert session.exists(session.session_key)


def test_expiry_is_as_django_says() -> None:
    session = saved(user="ada")
    assert session.get_expiry_age() == 1000
    session.set_expiry(0.2)
    session.save()

    from tests.waiting import until

    until(lambda: not store(session.session_key).exists(session.session_key), "the session has expired")
    assert dict(store(session.session_key).items()) == {}


def test_the_keys_are_djangos_and_can_be_changed() -> None:
    from django.test import Client
    from django.test.utils import override_settings

    client = Client()
    client.get("/login")
    key = client.cookies["sessionid"].value
    with override_settings(SECRET_KEY=OTHER, SECRET_KEY_FALLBACKS=[KEY]):
        assert client.get("/show").json() == {"user": "ada"}
    assert client.cookies["sessionid"].value != key
    with override_settings(SECRET_KEY=OTHER):
        assert client.get("/show").json() == {"user": "ada"}
    with override_settings(SECRET_KEY="short"), pytest.raises(ValueError, match="key 1 for sessions has 5 bytes"):
        client.get("/show")
    with override_settings(COREPOD_SESSION_KEYS="n" * 40):
        assert client.get("/show").json() == {}


def test_what_cant_be_stored_is_named() -> None:
    from django.core.exceptions import ImproperlyConfigured
    from django.test.utils import override_settings

    with pytest.raises(NotJSON, match=r"session\['when'\] is of type object"):
        saved(when=object())
    with override_settings(COREPOD_SESSION_MAX_SIZE=100), pytest.raises(SessionTooLarge, match="max_size allows 100"):
        saved(cart="x" * 100)
    with (
        override_settings(SESSION_SERIALIZER="my.Serializer"),
        pytest.raises(ImproperlyConfigured, match="stores JSON"),
    ):
        store()


def test_in_the_workers_loop_the_synchronous_methods_say_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    key = saved(user="ada").session_key

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr("corepod.shared.sessions.blocking.loop_for_threads", lambda: loop)
            with pytest.raises(RuntimeError, match=r"block the event loop of all requests: .*session\.aget"):
                store(key)["user"]

    asyncio.run(main())
