"""`manage.py runserver`: Django's application in its place, found in the project's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corepod.migrate.model import Fate

from tests.unit.migrate.told import faults, told

if TYPE_CHECKING:
    from pathlib import Path

MANAGE = """import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.live")
raise SystemExit("executed")
"""
BASE = """INSTALLED_APPS = ["shop"]
WSGI_APPLICATION = "shop.wsgi.application"
ASGI_APPLICATION = "shop.asgi.application"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "manage.py").write_text(MANAGE)
    (tmp_path / "shop" / "settings").mkdir(parents=True)
    (tmp_path / "shop" / "settings" / "base.py").write_text(BASE)
    (tmp_path / "shop" / "settings" / "live.py").write_text("from .base import *\nDEBUG = False\n")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "bind"),
    [
        ("python manage.py runserver", "127.0.0.1:8000"),
        ("python -u manage.py runserver 9000", "127.0.0.1:9000"),
        ("python manage.py runserver 0:80 --noreload", "0.0.0.0:80"),
        ("./manage.py runserver 0.0.0.0:80 --insecure", "0.0.0.0:80"),
        ("python /srv/app/manage.py runserver -6 9000", "[::1]:9000"),
        ("django-admin runserver '[::]:9000' --settings shop.settings.base", "[::]:9000"),
    ],
)
def test_the_application_that_it_serves(project: Path, line: str, bind: str) -> None:
    found = told(line, project)
    assert found.settings.items() >= {"app": "shop.wsgi:application", "bind": [bind], "workers": 1}.items()
    assert found.covered
    (checked,) = found.of(Fate.CHECK)
    assert "static files" in checked.note
    assert "DEBUG" in checked.note
    assert faults([found], project / "corepod.toml") in ([], ["no folder"])


def test_with_channels_it_served_the_asgi_application(project: Path) -> None:
    (project / "shop" / "settings" / "live.py").write_text("from .base import *\nINSTALLED_APPS = ['daphne', 'shop']\n")
    assert told("python manage.py runserver", project).settings["app"] == "shop.asgi:application"
    assert told("python manage.py runserver --noasgi", project).settings["app"] == "shop.wsgi:application"


def test_without_the_project_the_application_is_for_people(tmp_path: Path) -> None:
    found = told("python manage.py runserver 0.0.0.0:80", tmp_path)
    assert "app" not in found.settings
    assert [item.setting for item in found.of(Fate.NEEDS_YOU)] == ["manage.py runserver"]


def test_a_platform_s_port_on_loopback_stays_there(project: Path) -> None:
    found = told("python manage.py runserver $PORT", project)
    assert found.settings["bind"] == ["127.0.0.1:8000"]
    assert told("python manage.py runserver 0.0.0.0:$PORT", project).settings.get("bind") is None
