"""`corepod migrate`, as it is called."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_SETTINGS

if TYPE_CHECKING:
    from pathlib import Path


def corepod(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "corepod", *words)
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_a_file_is_written_once(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("from flask import Flask\napp = Flask('a')\n")
    (tmp_path / "gunicorn.conf.py").write_text("workers = 1\nmax_requests = 100\nstatsd_host = 'a:1'\n")
    done = corepod("migrate", "gunicorn.conf.py", "--write", cwd=tmp_path)
    assert done.returncode == 0, done
    written = (tmp_path / "corepod.toml").read_text()
    assert 'app = "main:app"' in written
    assert "max_requests = 100" in written
    assert "statsd" in written
    for title in ("corepod does the same", "Check:", "These need you"):
        assert title in done.stdout
    shown = corepod("config", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown
    again = corepod("migrate", "gunicorn.conf.py", "--write", cwd=tmp_path)
    assert again.returncode == EXIT_SETTINGS
    assert "--force" in again.stderr
    assert corepod("migrate", "gunicorn.conf.py", "--write", "--force", cwd=tmp_path).returncode == 0


def test_a_command_line_in_quotes_and_in_words(tmp_path: Path) -> None:
    for words in (("uvicorn main:app --port 80",), ("--", "uvicorn", "main:app", "--port", "80")):
        done = corepod("migrate", "--json", *words, cwd=tmp_path)
        assert done.returncode == 0, done
        (program,) = json.loads(done.stdout)["programs"]
        assert program["settings"]["bind"] == ["127.0.0.1:80"]
        assert program["covered"]
    assert not list(tmp_path.iterdir())


def test_what_is_no_configuration_is_refused(tmp_path: Path) -> None:
    done = corepod("migrate", "no-such-file", cwd=tmp_path)
    assert done.returncode == EXIT_SETTINGS
    assert "no-such-file" in done.stderr


def test_python_is_executed_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("open('executed', 'w').close()\n")
    assert corepod("migrate", "--no-execute", "gunicorn.conf.py", cwd=tmp_path).returncode == EXIT_SETTINGS
    assert not (tmp_path / "executed").exists()
    assert corepod("migrate", "gunicorn.conf.py", cwd=tmp_path).returncode == 0
    assert (tmp_path / "executed").exists()
