"""The Common Log Format, as its readers know it."""

from __future__ import annotations

import re

# As the tools that read it split it: quoted fields hold no quote, and the bytes are a number.
CLF = re.compile(
    r"(?P<h>\S+) (?P<l>\S+) (?P<u>\S+) \[(?P<t>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"(?P<m>[A-Z]+) (?P<path>[^ "]+) HTTP/(?P<version>[\d.]+)" (?P<s>\d{3}) (?P<b>\d+) (?P<L>\d+\.\d{6})'
)


def fields(line: str) -> dict[str, str]:
    """The fields of a line in the default format; fails where it isn't one."""
    found = CLF.fullmatch(line)
    assert found, line
    return found.groupdict()
