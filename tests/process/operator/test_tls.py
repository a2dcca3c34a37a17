"""The API server's certificate: checked, and no more strictly than kubectl does."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml
from corepod.operator.api.cluster import NODES
from corepod.operator.api.errors import Unreachable
from corepod.operator.api.transport import Credentials, Transport

from tools.fakeapi import FakeApi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


def openssl(command: str, folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl program to make a certificate with")
    subprocess.run(["openssl", *command.split()], check=True, capture_output=True, cwd=folder)


def authority(folder: Path) -> Path:
    """As many clusters have it: without a key usage."""
    folder.mkdir()
    openssl(f"req -x509 {KEY} -days 2 -subj /CN=cluster -keyout ca.key -out ca.crt", folder)
    return folder / "ca.crt"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.crt, and server.crt and server.key of 127.0.0.1 by it."""
    folder = tmp_path_factory.mktemp("pki") / "cluster"
    authority(folder)
    openssl(f"req {KEY} -subj /CN=api -keyout server.key -out server.csr", folder)
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    signed = "x509 -req -in server.csr -out server.crt -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext"
    openssl(signed, folder)
    return folder


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    with FakeApi(tls=context) as api:
        yield api.port


def connected(folder: Path, port: int, authority: Path, host: str = "127.0.0.1") -> Transport:
    cluster = {"server": f"https://{host}:{port}", "certificate-authority": str(authority)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(content))
    return Transport(Credentials(str(path)), {})


def test_an_authority_without_a_key_usage_is_enough(folder: Path, port: int, tmp_path: Path) -> None:
    transport = connected(tmp_path, port, folder / "ca.crt")
    assert transport.request("GET", NODES.path())["items"] == []
    transport.close()
    # The control: what Python from 3.13 on does by default.
    strict = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    with pytest.raises(ssl.SSLCertVerificationError, match="key usage"):
        http.client.HTTPSConnection("127.0.0.1", port, context=strict, timeout=10).request("GET", "/")


def test_another_authority_is_not(port: int, tmp_path: Path) -> None:
    transport = connected(tmp_path, port, authority(tmp_path / "other"))
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        transport.request("GET", NODES.path())
    transport.close()


def test_another_name_is_not(folder: Path, port: int, tmp_path: Path) -> None:
    transport = connected(tmp_path, port, folder / "ca.crt", host="localhost")
    with pytest.raises(Unreachable, match="localhost"):
        transport.request("GET", NODES.path())
    transport.close()
