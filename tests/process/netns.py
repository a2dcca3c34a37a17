"""Networks of a test's own: one with IPv4, with IPv6, with both, as pods of such clusters have them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

IPV4, IPV6 = "192.0.2.10", "2001:db8::10"  # addresses that aren't loopback ones
NEWNET = 0x40000000  # CLONE_NEWNET
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="making a network namespace needs root")


@contextlib.contextmanager
def network(*addresses: str, sysctl: str = "") -> Iterator[None]:
    """This thread, and what it starts from here on, is in a network that has these addresses and IPv4's loopback.

    Without one of IPv6 it is switched off on all interfaces, as container runtimes do it. `sysctl` is one more setting,
    NAME=VALUE. Ports are all free.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as before:
        if libc.unshare(NEWNET):
            pytest.skip(f"no network namespace can be made here: {os.strerror(ctypes.get_errno())}")
        try:
            off = int(not any(":" in address for address in addresses))
            for setting in (f"net.ipv6.conf.all.disable_ipv6={off}", *([sysctl] if sysctl else [])):
                name, _, value = setting.partition("=")
                Path("/proc/sys", name.replace(".", "/")).write_text(value)
            _ip("link", "set", "lo", "up")
            for address in addresses:
                _ip("address", "add", f"{address}/{128 if ':' in address else 32}", "dev", "lo")
            yield
        finally:
            if libc.setns(before.fileno(), NEWNET):
                raise OSError(ctypes.get_errno(), "the thread is left in the wrong network")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=DEADLINE)
