"""What `helm test` runs, with the worker's own image: do probes, metrics and application answer, and if not, why."""

import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request

ADMIN, APPLICATION = os.environ["ADMIN"], os.environ["APPLICATION"]
TIMEOUT = float(os.environ["TIMEOUT"])  # seconds
# The certificate is made for the name clients use, not for the Service's.
ANY_CERTIFICATE = ssl._create_unverified_context()


def ask(url: str) -> tuple[int, str]:
    """Status and body; 0 and the reason where there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=5, context=ANY_CERTIFICATE) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except OSError as error:
        return 0, str(error)


def check() -> list[str]:
    """What isn't as it should be."""
    faults = []
    status, body = ask(ADMIN + "/readyz")
    if status != 200:
        faults.append(f"{ADMIN}/readyz: {status} {body.strip()}")
    status, metrics = ask(ADMIN + "/metrics")
    if status != 200 or "\ncorepod_ready 1\n" not in metrics:
        faults.append(f"{ADMIN}/metrics: {status}, without corepod_ready 1")
    status, body = ask(APPLICATION)
    if not 200 <= status < 500:
        faults.append(f"{APPLICATION}: {status} {body.strip()[:200]}")
    if not faults:
        cores = re.findall(r'^corepod_worker_pinned\{.*core="(\d*)"\}', metrics, re.MULTILINE)
        print(f"ready; {APPLICATION} answers {status}; cores: {', '.join(core or 'not pinned' for core in cores)}")
    return faults


def main() -> int:
    """Ask until all is well, for TIMEOUT seconds: a Service takes a moment to follow its pods."""
    deadline = time.monotonic() + TIMEOUT
    while faults := check():
        if time.monotonic() > deadline:
            print("\n".join(faults), file=sys.stderr)
            return 1
        time.sleep(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main())
