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


UNIT = "[Service]\nExecStart=/v/bin/gunicorn main:app\n"


def test_other_files_are_written_beside_and_never_over(tmp_path: Path) -> None:
    (tmp_path / "shop.service").write_text(UNIT)
    done = corepod("migrate", "shop.service", "--write", cwd=tmp_path)
    assert done.returncode == 0, done
    assert (tmp_path / "shop.service").read_text() == UNIT
    assert "ExecStart=/v/bin/corepod run" in (tmp_path / "shop.service.corepod").read_text()
    (tmp_path / "corepod.toml").unlink()
    again = corepod("migrate", "shop.service", "--write", cwd=tmp_path)
    assert again.returncode == EXIT_SETTINGS
    assert "shop.service.corepod" in again.stderr
    assert not (tmp_path / "corepod.toml").exists()


def test_a_module_that_is_new_has_its_own_name(tmp_path: Path) -> None:
    assert corepod("migrate", "gunicorn --paste live.ini", "--write", cwd=tmp_path).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"corepod.toml", "paste_app.py"}


def test_standard_input_and_environments(tmp_path: Path) -> None:
    apps = {"apps": [{"name": "a", "script": "uvicorn", "args": "a:app", "env_production": {"X": "1"}}]}
    words = (sys.executable, "-m", "corepod", "migrate", "--json", "-")
    done = subprocess.run(
        words, cwd=tmp_path, input=json.dumps(apps), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["programs"][0]["environments"] == {"production": {"X": "1"}}


def test_what_can_t_be_read_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    (tmp_path / "latin.conf").write_bytes(b"[program:caf\xe9]\ncommand=gunicorn a:app\n")
    (tmp_path / "fails.py").write_text("import sys\nsys.exit('no')\n")
    for source, said in {
        "folder": "is a folder",
        "empty": "is empty",
        "latin.conf": "UTF-8",
        "fails.py": "fails.py, line 2",
        "gunicorn 'app": "No closing quotation",
    }.items():
        done = corepod("migrate", source, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (EXIT_SETTINGS, ""), done
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_file_that_forks_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text("import os, sys\nworkers = 2 if os.fork() else 3\n")
    done = corepod("migrate", "--json", "forks.py", cwd=tmp_path)
    assert json.loads(done.stdout)["programs"][0]["settings"]["workers"] == 2, done


def test_python_is_executed_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("open('executed', 'w').close()\n")
    assert corepod("migrate", "--no-execute", "gunicorn.conf.py", cwd=tmp_path).returncode == EXIT_SETTINGS
    assert not (tmp_path / "executed").exists()
    assert corepod("migrate", "gunicorn.conf.py", cwd=tmp_path).returncode == 0
    assert (tmp_path / "executed").exists()
