"""The suite of HTTP/2: h2spec, a program in Go, which `make conformance` builds from what h2spec/go.sum vouches for."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from loadtest.bench.peers import BIN
from loadtest.conformance.suite import Result

PROGRAM = BIN / "h2spec"
LONGEST = 180.0  # seconds; it takes two where every case is answered, and two more for each that isn't


def run(port: int) -> list[Result]:
    """Every case of h2spec, spoken with prior knowledge. Raises RuntimeError where it can't be run to its end."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        report = Path(folder) / "report.xml"
        command = [str(PROGRAM), "--host", "127.0.0.1", "--port", str(port), "--junit-report", str(report)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
        except FileNotFoundError:
            raise RuntimeError(f"there is no {PROGRAM}; make conformance installs it with Go") from None
        if not report.exists():
            raise RuntimeError(f"h2spec wrote no report: {(done.stderr or done.stdout)[-500:]}")
        return read(report.read_text())


def read(report: str) -> list[Result]:
    """The results in a report of h2spec's. A case is called by its section and number, as h2spec's own arguments."""
    results = []
    for suite in ElementTree.fromstring(report).iter("testsuite"):
        for number, case in enumerate(suite.iter("testcase"), 1):
            name = f"{suite.get('package', '')}/{number} {case.get('classname', '')}"
            failure = next((found for found in case if found.tag in ("failure", "error")), None)
            told = "" if failure is None else " ".join("".join(failure.itertext()).split())
            results.append(Result(name, "" if failure is None else told or "failed"))
    return results
