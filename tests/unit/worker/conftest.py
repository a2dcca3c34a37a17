"""Both implementations of HTTP/1.1, held to the same tests; what a worker writes to its standard output and standard
error; and a certificate."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import garbage
from tests.unit import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["httptools", "h11"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The implementation that this run of the test serves with."""
    monkeypatch.setattr(served, "HTTP", request.param)
    return str(request.param)


@pytest.fixture
def _loggers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The worker's loggers are put back as they were, and so are the handlers that others share."""
    shared = [logging.lastResort, flask.default_handler if (flask := sys.modules.get("flask.logging")) else None]
    monkeypatch.setattr(logging, "basicConfig", logging.basicConfig)
    for handler in filter(None, shared):
        monkeypatch.setattr(handler, "formatter", handler.formatter)
    kept = [(logging.getLogger(name), vars(logging.getLogger(name)).copy()) for name in ("corepod", "corepod.access")]
    yield
    for logger, state in kept:
        logger.__dict__.update(state)
        logger.manager._clear_cache()  # type: ignore[attr-defined]


class Streams:
    """What standard output and standard error have got."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._out = self._err = ""

    def _read(self) -> None:
        out, err = self._capsys.readouterr()
        self._out, self._err = self._out + out, self._err + err

    @property
    def out(self) -> str:
        self._read()
        return self._out

    @property
    def err(self) -> str:
        self._read()
        return self._err


@pytest.fixture
def streams(_loggers: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    for name, value in (("COREPOD_WORKER", "7"), ("COREPOD_SLOT", "2"), ("COREPOD_CORE", "")):
        monkeypatch.setenv(name, value)
    # asyncio complains, on standard error, of what other tests have left when that is freed: not in the middle of this.
    with garbage.kept():
        yield Streams(capsys)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of localhost, made here."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {cert}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key
