"""Takes screenshots of a report with Chromium, light and dark: `make loadtest-pictures`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from loadtest.report.page import render
from loadtest.run import Run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SIZE = "1080,1440"  # the verdict, the charts and the faults; the rest is tables
DEADLINE = 60.0  # seconds
SCHEMES = {"light": "1", "dark": "0"}  # Blink's numbers


def screenshot(page: Path, picture: Path, scheme: str) -> None:
    """Write a screenshot of the page. Raises RuntimeError without a browser, or if the browser draws nothing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        raise RuntimeError(f"no browser: install one of {', '.join(BROWSERS)}")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE}"]
    flags += [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--screenshot={picture}", page.as_uri()]
    done = subprocess.run([browser, *flags], capture_output=True, text=True, timeout=DEADLINE, check=False)
    if done.returncode or not picture.exists():
        raise RuntimeError(f"{browser} ended with {done.returncode}: {done.stderr[-400:]}")


def main(result: str, folder: str) -> int:
    try:
        run = Run.read(Path(result))
        with tempfile.TemporaryDirectory() as here:
            page = Path(here) / "report.html"
            page.write_text(render(run))
            for scheme in SCHEMES:
                screenshot(page, Path(folder).resolve() / f"loadtest-{scheme}.png", scheme)
    except (RuntimeError, ValueError, OSError) as error:
        print(f"loadtest.report.picture: {error} (run `make loadtest` first)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
