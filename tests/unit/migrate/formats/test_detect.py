"""Which format a source has, and what is said where none fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corepod.migrate.formats import documents
from corepod.migrate.model import MigrateError, Migration
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.migrate.formats.manifests import SHOP
from tests.unit.migrate.formats.sources import fates, only, read, read_file

if TYPE_CHECKING:
    from pathlib import Path

PROCFILE = """\
release: python manage.py migrate
web: newrelic-admin run-program gunicorn shop.wsgi --bind 0.0.0.0:$PORT --workers 2
worker: celery -A shop worker
"""
SOURCES = {
    "Procfile": (PROCFILE, "Procfile"),
    "Procfile.dev": (PROCFILE, "Procfile"),
    "shop.service": ("[Service]\nExecStart=/bin/gunicorn a:b\n", "systemd"),
    "anything": ("[Unit]\n[Service]\nExecStart=/bin/gunicorn a:b\n", "systemd"),
    "web.conf": ("[program:web]\ncommand=gunicorn a:b\n", "supervisord"),
    "web.ini": ("; x\n[program:web]\ncommand=gunicorn a:b\n", "supervisord"),
    "pm2.json": ('{"apps": [{"script": "gunicorn a:b"}]}', "PM2"),
    "pm2.yaml": ("apps:\n- script: gunicorn a:b\n", "PM2"),
    "deployment.yaml": (SHOP, "Kubernetes"),
    "Dockerfile.prod": ("FROM x\nCMD gunicorn a:b\n", "Dockerfile"),
    "web.dockerfile": ("FROM x\nCMD gunicorn a:b\n", "Dockerfile"),
    "docker-compose.yml": ("services:\n  web: {command: gunicorn a:b}\n", "compose"),
    "start.sh": ("gunicorn a:b\n", "shell script"),
    "entrypoint": ("#!/bin/sh\nexec gunicorn a:b\n", "shell script"),
    "render.yaml": ("services:\n- {type: web, startCommand: gunicorn a:b}\n", "start command"),
    "fly.toml": ('[processes]\napp = "gunicorn a:b"\n', "start command"),
    "railway.json": ('{"deploy": {"startCommand": "gunicorn a:b"}}', "start command"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_formats_by_name_and_content(tmp_path: Path, name: str) -> None:
    text, kind = SOURCES[name]
    migration = read_file(tmp_path, name, text)
    assert (migration.kind, migration.source) == (kind, name)
    only(migration)


def test_a_configuration_of_gunicorn(tmp_path: Path) -> None:
    assert only(read_file(tmp_path, "gunicorn.conf.py", "workers = 3\n")).settings["workers"] == 3


def test_a_procfile_keeps_its_other_lines() -> None:
    migration = read(PROCFILE)
    program = only(migration)
    assert (program.settings["workers"], "bind" in program.settings) == (2, False)
    assert migration.files["the text"] == PROCFILE.replace(
        "gunicorn shop.wsgi --bind 0.0.0.0:$PORT --workers 2", "corepod run"
    )
    assert "release: python manage.py migrate stays as it is" in migration.notes
    assert "newrelic-admin run-program" in fates(program)


def test_a_command_line() -> None:
    migration = read("cd /srv && FLAG=1 poetry run gunicorn shop:app -w 2")
    program = only(migration)
    assert (migration.kind, program.settings["chdir"], program.variables) == ("command line", "/srv", {"FLAG": "1"})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no/such/file", "is no file here .* it was looked for a Procfile"),
        ("nginx -g 'daemon off;'", "starts no gunicorn"),
        ("gunicorn 'a:b", "can't be read"),
        ("some text\nin two lines\n", "it isn't known what this is; it was looked for"),
        ("web: npm start\nworker: celery\n", "no line starts"),
        ("{", "is not JSON"),
        ("x" * 5000, "is no file here"),
    ],
)
def test_what_is_none_of_them(source: str, message: str) -> None:
    with pytest.raises(MigrateError, match=message):
        read(source)


@pytest.mark.parametrize("name", ["a.toml", "a.yaml", "a.json"])
def test_files_without_a_start_command(tmp_path: Path, name: str) -> None:
    with pytest.raises(MigrateError, match=name):
        read_file(tmp_path, name, '{"a": 1}' if name.endswith(("json", "yaml")) else "a = 1\n")


def test_yaml_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MigrateError, match=r"pip install 'corepod\[migrate\]'"):
        documents.load_all("a: 1", "x.yaml")


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted({text for text, _ in SOURCES.values()})), st.data())
def test_broken_sources_are_refused_and_nothing_else(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    middle = data.draw(st.sampled_from(["", "[", "]", "'", "x: y\n", "\n", "{}", "null", "=", "0"]))
    try:
        assert isinstance(read(f"{text[:start]}{middle}{text[end:]}\n\n#"), Migration)
    except MigrateError:
        pass
