"""Flask's own session, with its data in the shared state."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from corepod import shared
from corepod.shared import sync
from corepod.shared.sessions.keys import Keys, place

pytest.importorskip("flask")  # locust brings it, so it isn't marked as what users bring

from corepod.shared.sessions.flask import SharedSessions
from flask import Flask, flash, get_flashed_messages, session

from tests.process.traffic import held_ports

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

KEY, OTHER = "k" * 32, "o" * 32


def make(**settings: Any) -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY=KEY, PROPAGATE_EXCEPTIONS=True, **settings)
    app.session_interface = SharedSessions()

    @app.get("/<do>")
    async def view(do: str) -> dict[str, Any]:
        match do:
            case "login":
                session.renew()  # type: ignore[attr-defined]
                session["user"] = "ada"
            case "permanent":
                session.permanent = True
            case "logout":
                session.clear()
            case "flash":
                flash("hello")
            case "static":
                return {}
        return {"user": session.get("user"), "said": get_flashed_messages() if do == "said" else []}

    return app


def client(app: Flask) -> FlaskClient:
    return app.test_client()


def get(client: FlaskClient, path: str) -> Any:
    return client.get(path, base_url="https://shop.test")


def cookie(client: FlaskClient, name: str = "session") -> str:
    found = client.get_cookie(name, domain="shop.test")
    return found.value if found is not None else ""


def stored(client: FlaskClient) -> Any:
    signed = Keys([KEY, OTHER]).read(cookie(client))
    return signed and sync.get(place(signed.id))


def test_a_session_from_login_to_logout() -> None:
    user = client(make())
    answer = get(user, "/login")
    header = answer.headers["Set-Cookie"]
    assert header.endswith("; Path=/; HttpOnly; Secure; SameSite=Lax")
    assert "Max-Age" not in header
    assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Cookie", "private")
    assert stored(user)["data"] == {"user": "ada"}
    planted = cookie(user)
    assert get(user, "/show").json == {"user": "ada", "said": []}
    assert get(user, "/login").status_code == 200
    assert cookie(user) != planted
    assert sync.get(place(planted.partition(".")[0])) is None
    get(user, "/logout")
    assert cookie(user) == ""
    assert get(user, "/show").json == {"user": None, "said": []}


def test_what_flask_does_with_sessions_goes_on() -> None:
    user = client(make(PERMANENT_SESSION_LIFETIME=timedelta(hours=1), SESSION_COOKIE_NAME="sid"))
    get(user, "/flash")
    assert get(user, "/said").json["said"] == ["hello"]
    assert "sid=" in (header := get(user, "/permanent").headers["Set-Cookie"])
    assert "; Max-Age=3600; " in header
    with user.session_transaction(base_url="https://shop.test") as changed:
        changed["user"] = "bob"
    assert get(user, "/show").json["user"] == "bob"


def test_who_doesnt_touch_the_session_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with held_ports(1) as [port]:  # on which nothing answers
        monkeypatch.setenv("COREPOD_SHARED", f"redis://127.0.0.1:{port}/0")
        user = client(make())
        user.set_cookie("session", Keys([KEY]).sign("a" * 43), domain="shop.test")
        answer = get(user, "/static")
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
        assert "Vary" not in answer.headers
        with pytest.raises(shared.Unavailable):
            get(user, "/show")


def test_the_keys_are_flasks_and_can_be_changed() -> None:
    app = make()
    user = client(app)
    get(user, "/login")
    before = cookie(user)
    app.config.update(SECRET_KEY=OTHER, SECRET_KEY_FALLBACKS=[KEY])
    assert get(user, "/show").json["user"] == "ada"
    after = cookie(user)
    assert (before != after, before.partition(".")[0]) == (True, after.partition(".")[0])
    app.config["SECRET_KEY_FALLBACKS"] = None
    assert get(user, "/show").json["user"] == "ada"


@pytest.mark.parametrize(("key", "message"), [(None, "sessions need a key"), ("dev", "key 1 for sessions has 3 bytes")])
def test_a_key_that_is_missing_or_too_short_is_an_error(key: str | None, message: str) -> None:
    app = make()
    app.secret_key = key
    with pytest.raises(ValueError, match=message):
        get(client(app), "/show")


def test_an_error_after_the_session_was_saved_saves_it_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = make()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.session_interface = Fails()
    with caplog.at_level(logging.CRITICAL, logger=app.logger.name):
        assert get(client(app), "/login").status_code == 500
    assert app.session_interface.saved == [False, True]


class Fails(SharedSessions):
    """As if something behind the session had failed."""

    saved: list[bool]

    def __init__(self) -> None:
        super().__init__()
        self.saved = []

    def save_session(self, app: Flask, session: Any, response: Any) -> None:
        self.saved.append(session.closed)
        super().save_session(app, session, response)
        if len(self.saved) == 1:
            raise RuntimeError("asked to fail")
