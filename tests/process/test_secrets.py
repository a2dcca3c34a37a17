"""Settings that are secrets: the worker has them, and its environment doesn't."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.procfs import descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

PASSWORD = "not-to-be-printed"
VARIABLE = "COREPOD_TLS_KEY_PASSWORD"


@pytest.fixture
def encrypted(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of localhost, and its key under a password."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -passout pass:{PASSWORD} -days 2 -subj /CN=localhost"
    command += f" -addext subjectAltName=DNS:localhost -keyout {key} -out {cert}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("standby", ["armed", "none"])
def test_the_password_of_the_key_is_in_no_environment_below_the_supervisor(
    start: Start, encrypted: tuple[Path, Path], tmp_path: Path, standby: str
) -> None:
    cert, key = encrypted
    (tmp_path / "env").write_text(f"{VARIABLE}={PASSWORD}\nBESIDE=kept\n")
    flags = ("--tls-cert", str(cert), "--tls-key", str(key), "--workers", "1", "--standby", standby)
    pool = start("ok:app", *flags, "--env-file", str(tmp_path / "env"), env={VARIABLE: PASSWORD})
    until(lambda: pool.admin("/readyz").status_code == 200, "ready")
    context = ssl.create_default_context(cafile=str(cert))
    with httpx.Client(verify=context, trust_env=False, timeout=DEADLINE) as client:
        seen = client.get(f"https://localhost:{pool.port}/env").json()
        child = int(client.get(f"https://localhost:{pool.port}/spawn?s=60").text)
    assert seen["BESIDE"] == "kept"
    assert PASSWORD not in str(seen)
    below = descendants(pool.supervisor)
    assert child in below
    for pid in below:
        assert PASSWORD.encode() not in environment(pid), f"process {pid}"
    assert any(b"BESIDE=kept" in environment(pid) for pid in below), "control: environments can be read here"
    assert PASSWORD not in pool.log
