"""Every line that the documents tell people to install with, by itself, in an environment that has nothing else; then
what the line is there for. Packages come from wherever pip gets them on this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from corepod.contract.exits import EXIT_SETTINGS

from tests.process.harness import APPS, Pool
from tests.process.terminal import Terminal
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Downloads, and unpacks hundreds of megabytes.
pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[2]
TEXTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "app").rglob("*.py")]
LINE = re.compile(r"pip install '?(corepod(?:\[[a-z,]+\])?)(?![\w.\[-])")
UNREACHABLE = ("NewConnectionError", "Temporary failure in name resolution", "ProxyError", "ConnectTimeoutError")
ONE = ("--workers", "1", "--pin", "never")


class Environment:
    """A virtual environment with nothing but one line's packages."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=True)
        self.bin = folder / "bin"
        # Nothing of the environment that the tests run in.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("COREPOD_", "PYTHON", "COVERAGE"))}
        self.environ = {**kept, "PATH": f"{self.bin}:{os.environ['PATH']}", "VIRTUAL_ENV": str(folder)}

    def install(self, requirement: str, wheel: Path) -> None:
        # Of this name only the wheel is meant, whatever an index has.
        words = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
        command = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.bin / "python"),
            *words,
            f"{requirement} @ {wheel.as_uri()}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and os.environ.get("CI") != "true" and any(word in done.stderr for word in UNREACHABLE):
            pytest.skip("pip can't reach a package index")
        assert done.returncode == 0, done.stderr

    def run(self, *words: str, cwd: Path = APPS, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command, environ = [str(self.bin / words[0]), *words[1:]], {**self.environ, **(env or {})}
        return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)

    def pool(self, start: Callable[..., Pool], app: str, *flags: str) -> Pool:
        """A pool of this environment's program."""
        python = str(self.bin / "python")
        execute = f"import os, sys; os.execv({python!r}, [{python!r}, *sys.argv[2:]])"
        clean = {name: "" for name in os.environ if name.startswith("PYTHON")}
        return start(app, *ONE, *flags, prefix=(sys.executable, "-c", execute), env=clean)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = ["wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run([sys.executable, "-m", "pip", *words, "--wheel-dir", str(folder), "."], cwd=ROOT, check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture
def install(tmp_path: Path, wheel: Path) -> Callable[[str], Environment]:
    def make(requirement: str) -> Environment:
        made = Environment(tmp_path / "venv")
        made.install(requirement, wheel)
        return made

    return make


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    made: list[Terminal] = []
    yield made
    for terminal in made:
        terminal.close()


USE = "import asyncio\nfrom corepod import shared\nasyncio.run(shared.get('a'))"
AWAY = {"COREPOD_SHARED": "redis://127.0.0.1:1"}


# A kubeconfig of a cluster that isn't there.
NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "here", "user": {}}],
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
}


def documented() -> set[str]:
    return {line for path in TEXTS for line in LINE.findall(path.read_text(encoding="utf-8"))}


def test_every_documented_line_is_tried_here() -> None:
    here = set(re.findall(r'install\("(corepod[^"]*)"\)', Path(__file__).read_text()))
    assert documented() <= here


def test_nothing_beside(install: Callable[[str], Environment], start: Callable[..., Pool]) -> None:
    made = install("corepod")
    assert made.pool(start, "ok:app").ready().get("/").status_code == 200
    # Each part that isn't there says what to install.
    for words, extra in (
        (("operator", "--once"), "operator"),
        (("hit", "http://127.0.0.1:1/"), "loadtest"),
        (("run", "corepod.demo:app", "--bind", "127.0.0.1:0", "--admin", "none", *ONE), "demo"),
        (("run", "ok:app", "--loop", "uvloop"), "uvloop"),
        (("dev", "ok:app", "--bind", "127.0.0.1:0", "--admin", "none"), "dev"),
    ):
        done = made.run("corepod", *words)
        assert done.returncode
        said = done.stdout + done.stderr
        assert f"pip install 'corepod[{extra}]'" in said
        assert "Traceback" not in said
    assert "corepod[redis]" in made.run("python", "-c", USE, env=AWAY).stderr
    plugin = made.run("kubectl-corepod", "top")
    assert plugin.returncode
    assert "pip install 'corepod[kubectl]'" in plugin.stderr
    assert "Traceback" not in plugin.stderr


def test_httptools_left_out(install: Callable[[str], Environment], start: Callable[..., Pool]) -> None:
    made = install("corepod")
    pip = [sys.executable, "-m", "pip", "--python", str(made.bin / "python")]
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "httptools"], check=True)
    pool = made.pool(start, "ok:app").ready()
    assert pool.get("/").status_code == 200
    assert pool.log.count("httptools isn't installed, so h11 serves HTTP/1.1") == 1
    done = made.run("corepod", "run", "ok:app", "--http", "httptools")
    assert done.returncode == EXIT_SETTINGS
    assert "--http: httptools isn't installed; install it" in done.stderr


def test_local(install: Callable[[str], Environment], terminals: list[Terminal]) -> None:
    made = install("corepod[local]")
    command = [str(made.bin / "corepod"), "run", "ok:app", "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0", *ONE]
    terminal = Terminal(command=command)
    terminals.append(terminal)
    until(lambda: any("│ ready " in line for line in terminal.screen), "the live table")


def test_dev(install: Callable[[str], Environment], terminals: list[Terminal], tmp_path: Path) -> None:
    made = install("corepod[dev]")
    (code := tmp_path / "code").mkdir()
    (code / "main.py").write_text("async def app(scope, receive, send): ...")
    command = [str(made.bin / "corepod"), "dev", "main:app", "--chdir", str(code), "--bind", "127.0.0.1:0"]
    terminal = Terminal(command=[*command, "--admin", "none"])
    terminals.append(terminal)
    terminal.shows(r"http://127\.0\.0\.1:\d+, watching")
    (code / "main.py").write_text("async def app(scope, receive, send): raise LookupError")
    terminal.shows(r"main\.py changed: reloaded (with its libraries )?in")


def test_demo(install: Callable[[str], Environment], start: Callable[..., Pool]) -> None:
    pool = install("corepod[demo]").pool(start, "corepod.demo:app").ready()
    assert pool.get("/whoami").json()["pid"] == pool.slot()["pid"]


def test_migrate(install: Callable[[str], Environment], tmp_path: Path) -> None:
    made = install("corepod[migrate]")
    service = {"command": "gunicorn --bind 0.0.0.0:8000 shop.wsgi"}
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": {"shop": service}}))
    done = made.run("corepod", "migrate", "compose.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'app = "shop.wsgi' in done.stdout


def test_uvloop(install: Callable[[str], Environment], start: Callable[..., Pool]) -> None:
    pool = install("corepod[uvloop]").pool(start, "ok:app", "--loop", "uvloop").ready()
    assert pool.get("/").status_code == 200


def test_redis(install: Callable[[str], Environment]) -> None:
    said = install("corepod[redis]").run("python", "-c", USE, env=AWAY).stderr
    assert "corepod.shared.errors.Unavailable: the shared state redis://127.0.0.1:1" in said


def test_operator(install: Callable[[str], Environment]) -> None:
    made = install("corepod[operator]")
    # No cluster, whichever the user of this machine has.
    made.environ.pop("KUBERNETES_SERVICE_HOST", None)
    made.environ["KUBECONFIG"] = "/nonexistent"
    assert "--dry-run" in made.run("corepod", "operator", "--help").stdout
    done = made.run("corepod", "operator", "--once", "--dry-run")
    assert done.returncode
    assert "pip install" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_kubectl(install: Callable[[str], Environment], tmp_path: Path) -> None:
    made = install("corepod[kubectl]")
    (config := tmp_path / "config").write_text(yaml.safe_dump(NOWHERE))
    done = made.run("kubectl-corepod", "top", "--once", env={"KUBECONFIG": str(config)})
    assert done.returncode
    assert "127.0.0.1" in done.stderr
    assert "pip install" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_loadtest(install: Callable[[str], Environment], start: Callable[..., Pool], tmp_path: Path) -> None:
    made = install("corepod[loadtest]")
    pool = made.pool(start, "corepod.demo:app").ready()
    host = f"http://127.0.0.1:{pool.port}"
    assert made.run("corepod", "hit", f"{host}/whoami").returncode == 0
    words = ("locust", "-f", "loadtest/locustfile.py", "--host", host, "--headless", "-u", "2", "-t", "3s")
    done = made.run(*words, "--result-dir", str(tmp_path / "results"), cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "results" / "run.json").exists(), done.stderr
