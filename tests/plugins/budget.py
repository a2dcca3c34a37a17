"""How many examples property tests try, and how many tests run side by side."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A budget for each level: on a laptop an answer in seconds, in CI what a laptop would have missed.
EXAMPLES = {"few": 25, "many": 100}
MOST = 16  # beyond this the processes of the tests would only be in each other's way


def load_profile() -> str:
    """Made known before any test module is imported: a test's own settings are laid over the profile of that moment."""
    for name, examples in EXAMPLES.items():
        # No deadline and no check of speed: a busy machine is no fault of the code.
        settings.register_profile(
            name,
            max_examples=examples,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
    chosen = os.environ.get("HYPOTHESIS_PROFILE") or ("many" if os.environ.get("CI") == "true" else "few")
    settings.load_profile(chosen)
    return chosen


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: three times the cores, for most of the tests wait most of their time."""
    return min(3 * len(os.sched_getaffinity(0)), MOST)
