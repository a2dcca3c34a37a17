from __future__ import annotations

import pytest
from corepod.shared.redis.faults import Reach, fault
from redis import exceptions


@pytest.mark.parametrize(
    ("error", "reach", "says"),
    [
        (TimeoutError(), Reach.ALL, "within 2 s"),
        (exceptions.ConnectionError("Error 111 connecting to h:1."), Reach.ALL, "Error 111"),
        (ConnectionResetError(), Reach.ALL, "ConnectionResetError"),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), Reach.ALL, "loading"),
        (exceptions.ResponseError("DENIED Redis is running in protected mode"), Reach.ALL, "protected mode"),
        (exceptions.ConnectionError("max number of clients reached"), Reach.ALL, "maxclients"),
        (exceptions.ResponseError("MOVED 3999 127.0.0.1:6381"), Reach.ALL, "Cluster"),
        (exceptions.InvalidResponse("Protocol Error: b'HTTP/1.1 400'"), Reach.ALL, "Protocol Error"),
        # As Redis 6.2 says it of a command in a script.
        (
            exceptions.ResponseError(
                "Error running script (call to f_0): @user_script:3: -OOM command not allowed when used memory > 'max'."
            ),
            Reach.WRITES,
            "is out of memory",
        ),
        (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), Reach.WRITES, "disk"),
        (exceptions.NoPermissionError("this user has no permissions"), Reach.ONE, "permit"),
        (
            exceptions.NoPermissionError("User me has no permissions to run the 'get' command"),
            Reach.ONE,
            "`shared` (get)",
        ),
    ],
)
def test_what_an_error_means(error: Exception, reach: Reach, says: str) -> None:
    found = fault(error, 2.0)
    assert found is not None
    assert found.reach is reach
    assert says in found.text


@pytest.mark.parametrize("said", ["WRONGTYPE Operation against a key", "value is not an integer or out of range"])
def test_an_answer_is_no_fault(said: str) -> None:
    assert fault(exceptions.ResponseError(said), 1.0) is None
